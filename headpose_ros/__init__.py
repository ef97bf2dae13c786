"""Head poses and facial landmarks from camera images, with or without ROS 2.

Without ROS, three calls do the job:

    analyze = headpose_ros.load(device='cpu')
    faces = analyze(image_bgr)           # uint8 (H, W, 3)
    faces[0].rotation                    # (3, 3) R_optical_face, REP-155 axes
"""

from __future__ import annotations

from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

from headpose_ros.environment import prepare

if TYPE_CHECKING:
    from headpose_ros.perception.analyze import Analyzer

# The generated `headpose_ros.msg` may lie in another folder than these sources.
__path__ = extend_path(__path__, __name__)
# Libraries read it when they are imported, which must come later than this.
prepare()

from headpose_ros.models import DEFAULT_MODEL  # noqa: E402 - after the line above

__version__ = '0.1.0'
__all__ = ['DEFAULT_MODEL', '__version__', 'load']


def load(
    model: str = DEFAULT_MODEL, device: str = 'auto', backend: str = 'auto', **options: Any
) -> Analyzer:
    """Load a trained network and a face detector, ready to analyse images.

    Args:
        model: Name of released weights (`headpose models`), or the path of a `.safetensors`
            file of this package.
        device: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.
        backend: What runs the network: `auto` (the fastest that works here), `onnxruntime` or
            `torch`.
        **options: Passed to :class:`headpose_ros.perception.analyze.Analyzer`.

    Returns:
        A callable: `faces = analyze(image_bgr)`; `analyze.track(image_bgr, stamp)` for video.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
        DetectorError: The face detector's model file is missing.
        DeviceError: The device is unknown or not there.
        BackendError: The backend is unknown, or nothing can run the network here.
    """
    # Imported here, so that `import headpose_ros` does not pay for OpenCV.
    from headpose_ros.perception.analyze import load_analyzer

    return load_analyzer(model, device, backend=backend, **options)
