"""Packages that not every installation has: one line has what installs a missing one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headpose_ros.errors import HeadposeError

#: Run in the environment of the package, from any folder. What pyproject.toml calls `torch`.
INSTALL_TORCH = (
    "pip install 'torch>=2.5,<3' 'torchvision>=0.20,<1' 'safetensors>=0.4,<1' 'onnx>=1.16,<2'"
)
_OF_TORCH = ('onnx', 'safetensors', 'torch', 'torchvision')
#: Where a module's package has another name.
_PACKAGES = {
    'PIL': 'pillow',
    'cv2': 'opencv-python-headless',
    'pythonosc': 'python-osc',
    'yaml': 'PyYAML',
}


def how_to_get(module: str) -> str:
    """Return the command that installs what a module belongs to."""
    top = module.partition('.')[0]
    return INSTALL_TORCH if top in _OF_TORCH else f'pip install {_PACKAGES.get(top, top)}'


@contextmanager
def needed_by(user: str) -> Iterator[None]:
    """Turn a missing package into one line with what needs it and the command that installs it.

    Args:
        user: What needs it, such as `headpose plot`.

    Raises:
        HeadposeError: A package is missing within the context.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = error.name or str(error)
        raise HeadposeError(f'{user} needs the package {module}: {how_to_get(module)}') from error
