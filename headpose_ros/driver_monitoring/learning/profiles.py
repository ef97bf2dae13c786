"""What was learned about a driver, as a file."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.driver_monitoring.zones_file import parse_zones, to_yaml
from headpose_ros.errors import HeadposeError
from headpose_ros.foreign_files import FileError, user_path
from headpose_ros.yaml_files import parse, read_text

_PRIVATE = 0o600
_MOST_OPEN = 2.0  # height over width of an eye: no eye is


@dataclass(frozen=True)
class DriverProfile:
    """What was learned about one driver.

    Attributes:
        neutral: (3, 3) R_optical_face of the neutral pose.
        open_eyes: (2,) aspect ratios of the open right and left eye; NaN where not known.
        zones: The zones, as calibrated.
    """

    neutral: NDArray[np.float64]
    open_eyes: NDArray[np.float64]
    zones: Zones


class ProfileError(HeadposeError, ValueError):
    """A driver's file that cannot be read or written."""


def profile_path(folder: str | Path, driver: str) -> Path:
    """Return the file of a driver.

    Raises:
        ProfileError: The name is none, or no folder was given.
    """
    if not str(folder):
        raise ProfileError('parameter profiles is empty: expected a folder for what is learned')
    if not re.fullmatch(r'[A-Za-z0-9_-]{1,64}', driver):
        raise ProfileError(
            f"driver {driver[:64]!r}: expected 1 to 64 letters, digits, '-' and '_' as the name"
        )
    try:
        return user_path(folder) / f'{driver}.yaml'
    except FileError as error:
        raise ProfileError(f'parameter profiles: {error}') from error


def write_profile(path: Path, profile: DriverProfile) -> None:
    """Write a driver's file, for its owner alone; an interrupted write leaves the former one.

    Raises:
        ProfileError: It cannot be written.
    """
    content = {
        'neutral': profile.neutral.round(6).tolist(),
        'open_eyes': [None if x != x else round(x, 4) for x in profile.open_eyes.tolist()],
        'zones': to_yaml(profile.zones),
    }
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(path, yaml.safe_dump(content, sort_keys=False).encode())
    except OSError as error:
        raise ProfileError(f'cannot write the driver to {path}: {error.strerror}') from error


def read_profile(path: Path) -> DriverProfile:
    """Read a driver's file.

    Raises:
        ProfileError: It cannot be read or is damaged.
    """
    try:
        content = parse(read_text(path, follow=False))
        neutral = np.array(content['neutral'], np.float64)
        eyes = np.array([np.nan if x is None else x for x in content['open_eyes']], np.float64)
        zones = parse_zones(content['zones'], str(path))
    except FileError as error:
        raise ProfileError(f'cannot read the driver from {path}: {error}') from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProfileError(f'{path} is no file of a driver: {error}; store it anew') from error
    if not _is_rotation(neutral):
        raise ProfileError(f'{path} is no file of a driver: its neutral pose is no rotation')
    if eyes.shape != (2,) or not np.all(np.isnan(eyes) | ((eyes > 0) & (eyes < _MOST_OPEN))):
        raise ProfileError(f'{path} is no file of a driver: open_eyes are no two aspect ratios')
    return DriverProfile(neutral, eyes, zones)


def _write_private(path: Path, content: bytes) -> None:
    """Write a file aside and rename it; a link at the path is replaced, not followed."""
    part = path.with_name(f'.{path.name}.{secrets.token_hex(8)}.part')
    # With O_EXCL, nothing that lies there already is followed or shared.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    try:
        with os.fdopen(descriptor, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _is_rotation(matrix: NDArray[np.float64]) -> bool:
    # Without NaN and what would overflow.
    if matrix.shape != (3, 3) or not (np.abs(matrix) < 1.1).all():
        return False
    return np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) and bool(np.linalg.det(matrix) > 0)
