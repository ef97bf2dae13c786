"""From data to released weights through the commands that a researcher types."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from headpose_ros.models.weights import load_model

CONFIG = Path(__file__).parents[1] / 'configs' / 'mnn_lite_real_faces.yaml'
PROGRAM = [sys.executable, '-m', 'headpose_training.cli']
NEWEST = 'runs/mnn_lite_real_faces/newest.ckpt'


def command(*words, cwd, code=0):
    done = subprocess.run(
        [*PROGRAM, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, 'OMP_NUM_THREADS': '2'},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


EPOCHS = 3


def fit_words(real_faces, head_model):
    data = ['--data.folder', real_faces, '--data.head_model', head_model]
    small = ['--data.batch_size', 4, '--data.repeats', 1, '--data.workers', 0]
    return ['fit', '--config', CONFIG, *data, *small, '--trainer.max_epochs', EPOCHS]


@pytest.fixture(scope='module')
def run(real_faces, head_model, tmp_path_factory):
    """Train, kill -9 after the first checkpoint, and resume to the end."""
    folder = tmp_path_factory.mktemp('run')
    words = [*PROGRAM, *map(str, fit_words(real_faces, head_model))]
    checkpoint = folder / NEWEST
    first = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 240
    while not checkpoint.exists() and first.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    first.kill()
    first.wait()
    assert checkpoint.exists()
    command(*fit_words(real_faces, head_model), '--ckpt_path', checkpoint, cwd=folder)
    return folder


@pytest.fixture(scope='module')
def checkpoint(run):
    return run / NEWEST


@pytest.fixture(scope='module')
def weights(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    card = {'data': 'drawn faces', 'license': 'Apache-2.0', 'command': 'pytest'}
    (folder / 'card.json').write_text(json.dumps(card))
    out = ['--out', folder / 'small', '--description', folder / 'card.json']
    command('export', '--checkpoint', checkpoint, '--model', 'mnn_lite', *out, cwd=folder)
    return folder / 'small.safetensors'


def test_resumes_where_it_was_killed(run):
    logs = run.glob('runs/mnn_lite_real_faces/version_*/metrics.csv')
    newest = max(logs, key=lambda path: path.stat().st_mtime)
    epochs = {int(row.split(',')[0]) for row in newest.read_text().splitlines()[1:]}
    assert 0 not in epochs
    assert max(epochs) == EPOCHS - 1


def test_exported_weights_load_with_their_card(weights):
    model = load_model(str(weights))
    assert model.spec.name == 'mnn_lite'
    assert model.card['license'] == 'Apache-2.0'
    assert model.card['bytes'] == weights.stat().st_size


def test_evaluate_writes_report_and_pictures(weights, real_faces, tmp_path):
    command('evaluate', '--weights', weights, '--data', real_faces, '--out', tmp_path, cwd=tmp_path)
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['faces'] == 8
    for row in report['metrics'].values():
        low, high = row['interval']
        assert low <= row['value'] <= high
    for picture in ('curves.png', 'faces.png'):
        assert (tmp_path / picture).stat().st_size > 1000


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['evaluate', '--data', 'nowhere', '--out', 'x'], 'index.csv is missing'),
        (
            [
                'export',
                '--checkpoint',
                'no.ckpt',
                '--model',
                'mnn_lite',
                '--out',
                'x',
                '--description',
                'no.json',
            ],
            'no.json is not a JSON object',
        ),
        (['evaluate', '--weights', 'x.safetensors', '--data', '.', '--out', 'x'], 'index.csv'),
    ],
)
def test_wrong_input_is_one_line(words, said, tmp_path):
    done = command(*words, cwd=tmp_path, code=2)
    assert said in done.stderr
    assert 'Traceback' not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_export_refuses_a_file_that_is_no_checkpoint(tmp_path):
    (tmp_path / 'x.ckpt').write_bytes(b'not a checkpoint')
    (tmp_path / 'card.json').write_text('{"data": "", "license": "", "command": ""}')
    words = ['--checkpoint', 'x.ckpt', '--model', 'mnn_lite', '--out', 'y']
    done = command('export', *words, '--description', 'card.json', cwd=tmp_path, code=2)
    assert 'x.ckpt is not a checkpoint of headpose-train fit' in done.stderr
