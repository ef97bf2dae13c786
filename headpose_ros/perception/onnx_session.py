"""Sessions of ONNX Runtime: quiet, on PyTorch's number of threads, idle between two frames."""

from __future__ import annotations

from typing import Any

import torch

_ERRORS_ONLY = 3


def open_session(file: bytes, provider: str, settings: dict[str, Any] | None = None) -> Any:
    """Return an onnxruntime.InferenceSession.

    Args:
        file: Content of an ONNX file.
        provider: What is to run it, such as `CPUExecutionProvider`.
        settings: Of this provider.

    Raises:
        ImportError: The package is missing.
        Exception: The file cannot be run; the package's errors have no common class.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _ERRORS_ONLY
    # Idle threads must not keep a robot's cores busy between two frames.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    # It adds the CPU itself, for operations that a GPU's provider lacks.
    return onnxruntime.InferenceSession(file, options, providers=[(provider, settings or {})])
