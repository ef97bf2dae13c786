"""The pose node with a network that does not come back from the first image that it is given."""

from __future__ import annotations

import sys
import time
from typing import Any

from headpose_ros.nodes.pose import main
from headpose_ros.perception.analyze import Analyzer


def hang(self: Analyzer, frames: Any) -> Any:
    time.sleep(1e6)


if __name__ == '__main__':
    Analyzer.track_together = hang  # type: ignore[method-assign]
    sys.exit(main())
