"""The pose node with a network that takes as many seconds as HEADPOSE_BENCHMARK_INFERENCE says."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from headpose_ros.nodes.pose import main
from headpose_ros.perception.infer import FaceNetwork

_SECONDS = float(os.environ.get('HEADPOSE_BENCHMARK_INFERENCE', '0.1'))
_estimate_each = FaceNetwork.estimate_each


def estimate_slowly(self: FaceNetwork, views: Any) -> Any:
    start = time.perf_counter()
    found = _estimate_each(self, views)
    time.sleep(max(_SECONDS - (time.perf_counter() - start), 0.0))
    return found


if __name__ == '__main__':
    FaceNetwork.estimate_each = estimate_slowly  # type: ignore[method-assign]
    sys.exit(main())
