"""What was learned about a driver, as a file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

from headpose_ros.driver.monitor import DriverProfile
from headpose_ros.driver.zones import ZoneError, parse_zones
from headpose_ros.errors import HeadposeError
from headpose_ros.files import expanded


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
            f"driver {driver!r}: expected 1 to 64 letters, digits, '-' and '_' as the name"
        )
    return expanded(folder) / f'{driver}.yaml'


def write_profile(path: Path, profile: DriverProfile) -> None:
    """Write a driver's file; an interrupted write leaves the former one.

    Raises:
        ProfileError: It cannot be written.
    """
    content = {
        'neutral': profile.neutral.round(6).tolist(),
        'open_eyes': [None if x != x else round(x, 4) for x in profile.open_eyes.tolist()],
        'zones': profile.zones.to_yaml(),
    }
    part = path.with_suffix('.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(yaml.safe_dump(content, sort_keys=False), encoding='utf-8')
        part.replace(path)
    except OSError as error:
        raise ProfileError(f'cannot write the driver to {path}: {error}') from error


def read_profile(path: Path) -> DriverProfile:
    """Read a driver's file.

    Raises:
        ProfileError: It cannot be read or is damaged.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        neutral = np.array(content['neutral'], np.float64)
        eyes = np.array([np.nan if x is None else x for x in content['open_eyes']], np.float64)
        zones = parse_zones(content['zones'], str(path))
    except OSError as error:
        raise ProfileError(f'cannot read the driver from {path}: {error}') from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, ZoneError) as error:
        raise ProfileError(f'{path} is no file of a driver: {error}; store it anew') from error
    is_rotation = neutral.shape == (3, 3) and np.allclose(neutral @ neutral.T, np.eye(3), atol=1e-3)
    if not is_rotation or np.linalg.det(neutral) < 0 or eyes.shape != (2,):
        raise ProfileError(f'{path} is no file of a driver: its neutral pose is no rotation')
    return DriverProfile(neutral, eyes, zones)
