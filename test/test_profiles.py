"""Files of drivers: whole or not at all, private, and never elsewhere than named."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from headpose_ros.driver_monitoring.learning import profiles
from headpose_ros.driver_monitoring.learning.profiles import (
    DriverProfile,
    ProfileError,
    profile_path,
    read_profile,
    write_profile,
)
from headpose_ros.driver_monitoring.zones_file import read_zones, to_yaml
from headpose_ros.geometry.rotations import FRONTAL

ZONES = read_zones(Path(__file__).parents[1] / 'config' / 'zones.yaml')
PROFILE = DriverProfile(FRONTAL, np.array([0.3, np.nan]), ZONES)


@pytest.fixture(autouse=True)
def usual_mask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_profile_is_for_its_owner_alone(tmp_path):
    path = profile_path(tmp_path / 'new' / 'folder', 'anna')
    write_profile(path, PROFILE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ['anna.yaml']
    again = read_profile(path)
    assert np.allclose(again.neutral, PROFILE.neutral, atol=1e-6)
    assert again.zones.names == ZONES.names


def test_a_public_file_becomes_private(tmp_path):
    path = tmp_path / 'anna.yaml'
    path.write_text('old')
    path.chmod(0o666)
    write_profile(path, PROFILE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_link_points_to_stays_as_it_is(tmp_path):
    victim, path = tmp_path / 'victim', tmp_path / 'anna.yaml'
    victim.write_text('precious')
    path.symlink_to(victim)
    with pytest.raises(ProfileError, match='a link'):
        read_profile(path)
    write_profile(path, PROFILE)
    assert victim.read_text() == 'precious'
    assert not path.is_symlink()
    read_profile(path)


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_an_interrupted_write_leaves_the_former_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / 'anna.yaml'
    write_profile(path, PROFILE)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(
        *{'fsync': (profiles.os, 'fsync'), 'replace': (Path, 'replace')}[step], fail
    )
    with pytest.raises(ProfileError, match='No space left'):
        write_profile(path, DriverProfile(FRONTAL, np.array([0.2, 0.2]), ZONES))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ['anna.yaml']


def test_the_file_is_never_seen_in_part(tmp_path, monkeypatch):
    """It must be written aside: at the moment of the renaming both are there, and whole."""
    path = tmp_path / 'anna.yaml'
    write_profile(path, PROFILE)
    before, rename, seen = path.read_bytes(), Path.replace, []

    def watched(part, target):
        seen.append((part != path, target == path, path.read_bytes() == before))
        read_profile(part)
        return rename(part, target)

    monkeypatch.setattr(Path, 'replace', watched)
    write_profile(path, DriverProfile(FRONTAL, np.array([0.2, 0.2]), ZONES))
    assert seen == [(True, True, True)]
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    'name',
    ['', '.', '..', '../anna', '/etc/anna', 'a/b', 'a\\b', 'a\0b', 'a\n', 'ä', 'x' * 65, '~'],
)
def test_names_that_are_paths_are_refused(tmp_path, name):
    with pytest.raises(ProfileError, match='letters, digits'):
        profile_path(tmp_path, name)


@pytest.mark.parametrize('folder', ['', 'a\0b', '~nobody-of-this-name/x'])
def test_folders_that_are_none_are_refused(folder):
    with pytest.raises(ProfileError, match='profiles'):
        profile_path(folder, 'anna')


@pytest.mark.parametrize(
    'change',
    [
        {'neutral': 'NaN'},
        {'neutral': '[[.nan, 0, 0], [0, .nan, 0], [0, 0, .nan]]'},
        {'neutral': '[[1, 0, 0], [0, 1, 0], [0, 0, -1]]'},
        {'neutral': '[[1e300, 0, 0], [0, 1e300, 0], [0, 0, 1e300]]'},
        {'open_eyes': '[.inf, 1]'},
        {'open_eyes': '[-1, 0.3]'},
        {'open_eyes': '[0.3]'},
        {'open_eyes': '[[0.3, 0.3]]'},
        {'zones': 'drive'},
        {'zones': '[1, 2]'},
    ],
)
def test_profiles_with_nonsense_are_refused(tmp_path, change):
    path = tmp_path / 'anna.yaml'
    good = {'neutral': '[[1, 0, 0], [0, 1, 0], [0, 0, 1]]', 'open_eyes': '[0.3, .nan]'}
    lines = [f'{key}: {value}' for key, value in {**good, **change}.items()]
    if 'zones' not in change:
        lines.append('zones: |\n' + ''.join(f'  {x}\n' for x in to_yaml(ZONES).splitlines()))
    path.write_text('\n'.join(lines))
    with pytest.raises(ProfileError, match=r'anna\.yaml is no file of a driver'):
        read_profile(path)


def test_pipes_are_no_profiles(tmp_path):
    os.mkfifo(tmp_path / 'anna.yaml')
    with pytest.raises(ProfileError, match='not a regular file'):
        read_profile(tmp_path / 'anna.yaml')
