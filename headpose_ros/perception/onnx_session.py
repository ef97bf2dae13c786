"""Sessions of ONNX Runtime on the CPU: quiet, small, idle between two frames."""

from __future__ import annotations

from typing import Any

from headpose_ros.perception.threads import cpu_threads

_ERRORS_ONLY = 3


def open_session(file: bytes) -> Any:
    """Return an onnxruntime.InferenceSession on :func:`threads.cpu_threads` threads.

    Args:
        file: Content of an ONNX file.

    Raises:
        ImportError: The package is missing.
        Exception: The file cannot be run; the package's errors have no common class.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_threads()
    options.log_severity_level = _ERRORS_ONLY
    # 15 MB less in a node; the allocator of the process is as fast (`ros/node/memory.py`).
    options.enable_cpu_mem_arena = False
    # Idle threads must not keep a robot's cores busy between two frames.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])
