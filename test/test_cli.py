"""The `headpose` command as a person types it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from headpose_ros.models.released import released
from headpose_ros.perception.tracking import TrackingOptions
from headpose_ros.sources.photograph import photograph
from headpose_ros.tools.commands import add_faces_option

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, '-m', 'headpose_ros.cli']


def headpose(*words: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*PROGRAM, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope='module')
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('photo') / 'astronaut.png'
    cv2.imwrite(str(path), photograph())
    return path


def test_image_prints_json(photo: Path) -> None:
    answer = json.loads(headpose('image', photo, '--json', '--device', 'cpu').stdout)
    (face,) = answer['faces']
    assert len(face['landmarks']) == 68
    assert abs(face['yaw_deg']) < 20


def test_image_draws(photo: Path, tmp_path: Path) -> None:
    done = headpose('image', photo, '--draw', tmp_path, '--device', 'cpu')
    assert 'astronaut.png' in done.stdout
    assert (tmp_path / 'astronaut_faces.png').stat().st_size > 10_000


def test_a_broken_image_loses_no_good_one(photo: Path, tmp_path: Path) -> None:
    (tmp_path / 'broken.png').write_bytes(b'not an image')
    done = headpose('image', tmp_path / 'broken.png', photo, '--json', '--device', 'cpu', code=2)
    assert len(json.loads(done.stdout)['faces']) == 1
    assert 'broken.png' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--model', 'no_such_model'], 'no weights for model'),
        (['--model', 'nowhere.safetensors'], 'no weights at nowhere.safetensors'),
        (['--device', 'abacus'], "unknown device 'abacus'"),
        (['--device', 'cuda:99'], "device 'cuda:99' is not there"),
    ],
)
def test_wrong_options_are_one_line(photo: Path, words: list[str], said: str) -> None:
    done = headpose('image', photo, *words, code=2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_crowd_is_counted_and_taken_when_told(photo: Path, tmp_path: Path) -> None:
    import cv2

    face = cv2.imread(str(photo))[:256, 128:384]
    crowd = tmp_path / 'crowd.png'
    cv2.imwrite(str(crowd), np.tile(face, (1, 3, 1)))
    few = headpose('image', crowd, '--json', '--max-faces', 2, '--device', 'cpu')
    assert len(json.loads(few.stdout)['faces']) == 2
    assert 'crowd.png: 1 more faces are left out; raise --max-faces' in few.stderr
    all_of_them = headpose('image', crowd, '--json', '--device', 'cpu')
    assert len(json.loads(all_of_them.stdout)['faces']) == 3
    assert all_of_them.stderr == ''
    parser = argparse.ArgumentParser()
    add_faces_option(parser)
    assert parser.parse_args([]).max_faces == TrackingOptions.max_faces


ODD_NAMES = ['a [red] $b 100%41 ärger 顔.png', ' -x[.png', os.fsdecode(b'\xff.png')]


def test_any_name_can_be_printed_on_any_terminal(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('PYTHONIOENCODING', 'ascii')
    files = [tmp_path / name for name in ODD_NAMES]
    for file in files:
        file.write_bytes(photo.read_bytes())
    done = headpose('image', *files, '--draw', tmp_path / 'd [1]', '--device', 'cpu')
    assert done.stderr == ''
    assert r'[red] $b 100%41 \xe4rger \u9854' in done.stdout
    assert len(list((tmp_path / 'd [1]').iterdir())) == len(ODD_NAMES)


def test_outputs_are_replaced_only_when_told(photo: Path, tmp_path: Path) -> None:
    copy = tmp_path / 'astronaut_faces.png'
    copy.write_bytes(b'precious')
    words = ['image', photo, '--draw', tmp_path, '--device', 'cpu']
    done = headpose(*words, code=2)
    assert one_line(done) == (
        f'headpose: error: {copy} exists already: choose another name, or --overwrite it'
    )
    assert copy.read_bytes() == b'precious'
    headpose(*words, '--overwrite')
    assert copy.stat().st_size > 10_000
    twin = tmp_path / 'astronaut.jpg'
    twin.write_bytes(photo.read_bytes())
    done = headpose('image', photo, twin, '--draw', tmp_path / 'new', '--device', 'cpu', code=2)
    assert 'would both become' in one_line(done)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--draw', '/sys/nowhere'], 'cannot make the folder /sys/nowhere'),
        (['--model', '~nobody-of-this-name/x.safetensors'], '~nobody-of-this-name'),
    ],
)
def test_what_the_system_refuses_is_one_line(photo: Path, words: list[str], said: str) -> None:
    assert said in one_line(headpose('image', photo, *words, '--device', 'cpu', code=2))


def test_a_terminal_that_is_full_is_one_line() -> None:
    with open('/dev/full', 'w') as full:
        done = subprocess.run(
            [*PROGRAM, 'models', 'pick'],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (2, 'headpose: error: No space left on device\n')


def test_models_shows_families_and_terms() -> None:
    text = headpose('models').stdout
    for name in ('mnn_lite_free', 'mnn_lite_research', 'non-commercial', 'default: mnn_lite_free'):
        assert name in text


def test_models_describes_verifies_and_picks() -> None:
    card = yaml.safe_load(headpose('models', 'show', 'mnn_lite_free').stdout)
    assert card['family'] == 'free'
    assert card['sha256'] in headpose('models', 'verify').stdout
    for family in ('free', 'research'):
        name = headpose('models', 'pick', '--family', family).stdout.strip()
        assert name in released()
        assert name.endswith(family)


def test_help_names_the_commands() -> None:
    text = headpose('--help').stdout
    names = ('run', 'image', 'demo', 'models', 'params', 'video', 'plot', 'bag', 'view', 'batch')
    for name in names:
        assert name in text


def test_params_files_and_tables_are_what_the_dataclasses_say() -> None:
    pytest.importorskip('rclpy')
    from headpose_ros.nodes.parameter_files import contents

    for path, text in contents(ROOT).items():
        assert path.read_text(encoding='utf-8') == text, 'run: headpose params --write .'


@pytest.mark.parametrize('file', ['camera', 'pose', 'overlay', 'driver_monitoring'])
def test_params_of_one_node_are_its_params_file(file: str) -> None:
    parameter = pytest.importorskip('rclpy.parameter')
    shipped = ROOT / 'config' / f'{file}.yaml'
    told = headpose('params', '--file', file).stdout
    assert shipped.read_text(encoding='utf-8') == told
    # As ros2 param load reads it, for a node in any namespace.
    read = parameter.parameter_dict_from_yaml_file(str(shipped), True, ['/left/node'])
    assert set(read) == set(yaml.safe_load(told)['/**']['ros__parameters'])


def test_params_are_written_into_a_checkout(tmp_path: Path) -> None:
    pytest.importorskip('rclpy')
    for name in ('config', 'docs/nodes'):
        shutil.copytree(ROOT / name, tmp_path / name)
    assert headpose('params', '--write', str(tmp_path)).stdout == ''
    page = tmp_path / 'docs' / 'nodes' / 'pose.md'
    good = page.read_text(encoding='utf-8')
    page.write_text(good.replace('| `2.0` s |', '| `3.0` s |'), encoding='utf-8')
    assert headpose('params', '--write', str(tmp_path)).stdout == f'{page}\n'
    assert page.read_text(encoding='utf-8') == good
    page.write_text('# No place', encoding='utf-8')
    refused = headpose('params', '--write', str(tmp_path), code=2)
    assert '<!-- parameters: pose -->' in refused.stderr


def test_run_starts_both_nodes_and_ends_on_sigint(ros_domain: int, photo: Path) -> None:
    words = ['run', '--source', str(photo), '--namespace', 'cabin', '--device', 'cpu']
    words += ['--ros-args', '-p']
    with subprocess.Popen(
        [*PROGRAM, *words, 'tracking.max_faces:=2'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
    ) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if 'uncalibrated' in line:  # the pose node heard the camera
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    text = ''.join(seen) + rest
    assert process.returncode == 0, text
    assert '[cabin.pose]' in text
    assert '[cabin.camera]' in text
    assert 'Traceback' not in text
