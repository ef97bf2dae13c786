"""The `headpose` command as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from headpose_ros.models.weights import released

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, '-m', 'headpose_ros.cli']
TIMEOUT = 120


def headpose(*words: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*PROGRAM, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope='module')
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = pytest.importorskip('skimage.data', reason='scikit-image carries the photograph')
    import cv2

    path = tmp_path_factory.mktemp('photo') / 'astronaut.png'
    cv2.imwrite(str(path), data.astronaut()[:, :, ::-1])
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
    for name in ('run', 'image', 'demo', 'models', 'params', 'video', 'plot', 'bag', 'view'):
        assert name in text


@pytest.mark.parametrize(
    ('file', 'nodes'),
    [('pose', {'/**/camera', '/**/pose', '/**/overlay'}), ('driver_monitoring', {'/**/driver'})],
)
def test_params_files_are_what_the_dataclasses_say(file: str, nodes: set[str]) -> None:
    pytest.importorskip('rclpy')
    shipped = (ROOT / 'config' / f'{file}.yaml').read_text(encoding='utf-8')
    told = headpose('params', '--file', file).stdout
    assert shipped == told, f'run: headpose params --file {file} > config/{file}.yaml'
    assert set(yaml.safe_load(shipped)) == nodes


def test_parameter_docs_are_what_the_dataclasses_say() -> None:
    pytest.importorskip('rclpy')
    page = (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8')
    assert headpose('params', '--markdown').stdout.strip() in page


def test_run_starts_both_nodes_and_ends_on_sigint(ros_domain: int, photo: Path) -> None:
    words = ['run', '--source', str(photo), '--namespace', 'cabin', '--device', 'cpu']
    words += ['--params-file', str(ROOT / 'config' / 'pose.yaml'), '--ros-args', '-p']
    with subprocess.Popen(
        [*PROGRAM, *words, 'max_faces:=2'],
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
