"""Where the package's installed files are, on a ROS distribution and in a virtual environment."""

from __future__ import annotations

import sys
from pathlib import Path

from headpose_ros.errors import HeadposeError


def share_file(relative: str, package: str = 'headpose_ros') -> Path:
    """Return an installed file of a package, such as `config/pose.yaml`.

    Raises:
        HeadposeError: It is not installed.
    """
    for folder in (_from_index(package), Path(sys.prefix) / 'share' / package):
        if folder is not None and (folder / relative).is_file():
            return folder / relative
    raise HeadposeError(
        f'{relative} of {package} is not installed: build the package (colcon build and source '
        'its setup file, or pip install .)'
    )


def _from_index(package: str) -> Path | None:
    """Ask the ament index, which exists only where a prefix is sourced."""
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory(package))
    except (PackageNotFoundError, LookupError, OSError, ValueError):
        return None
