"""From data to released weights through the commands that a researcher types."""

import csv
import inspect
import io
import json
import os
import pickle
import pkgutil
import shutil
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from headpose_ros.files import OutputError
from headpose_ros.models.hopenet import Hopenet
from headpose_ros.models.registry import MODELS, WeightsError
from headpose_ros.models.released import find_weights
from headpose_ros.models.weights import load_model, save_weights
from headpose_ros.perception.infer import FaceNetwork

from headpose_training.checkpoints import load_weights, mean_of, start_from
from headpose_training.cli import COMMANDS, main
from headpose_training.errors import TrainingError
from headpose_training.fit import fit
from headpose_training.systems.hopenet import HopenetSystem

CONFIGS = Path(__file__).parents[1] / 'configs'
PROGRAM = [sys.executable, '-m', 'headpose_training.cli']
NEWEST = 'runs/mnn_lite/newest.ckpt'


# Two threads give other sums than one, and a resumed run is compared with a straight one.
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1'}


def program(*words, cwd):
    """Start the program as a researcher does: six seconds of imports. It prints into a file."""
    with printed(cwd).open('w') as out:
        return subprocess.Popen(
            [*PROGRAM, *map(str, words)], cwd=cwd, stdout=out, stderr=out, env=ENVIRONMENT
        )


def printed(cwd):
    return cwd / 'printed.txt'


def finish(*words, cwd):
    """Run the program to its end: the same sums as of any other run in that environment."""
    with program(*words, cwd=cwd) as run:
        run.wait()
    assert run.returncode == 0, printed(cwd).read_text()


def command(*words, cwd, code=0):
    """Run a command in this process and return what it printed."""
    out = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(out),
    ):
        patch.chdir(cwd)
        patch.setattr(sys, 'argv', ['headpose-train', *map(str, words)])
        returned = main()
    assert returned == code, out.getvalue()
    return out.getvalue()


EPOCHS = 3


def fit_words(config, real_faces, *more):
    data = ['--data.folder', real_faces, '--data.batch_size', 4, '--data.workers', 0]
    data += ['--compile', 'false']  # half a minute, of which a short run gets nothing back
    return ['fit', '--config', CONFIGS / f'{config}.yaml', *data, '--data.repeats', 1, *more]


def logged(folder, column):
    """Return the values of a column of the newest log, with their epochs."""
    newest = max(folder.glob('**/metrics.csv'), key=lambda path: path.stat().st_mtime)
    with newest.open() as stream:
        return [(int(r['epoch']), float(r[column])) for r in csv.DictReader(stream) if r[column]]


@pytest.fixture(scope='module')
def run(real_faces, head_model, tmp_path_factory):
    """Train, kill -9 after the first checkpoint, and resume to the end."""
    folder = tmp_path_factory.mktemp('run')
    words = ['--data.head_model', head_model, '--trainer.max_epochs', EPOCHS]
    words = fit_words('mnn_lite', real_faces, *words)
    checkpoint = folder / NEWEST
    with program(*words, cwd=folder) as first:
        while not checkpoint.exists() and first.poll() is None:
            time.sleep(0.05)
        first.kill()
    assert checkpoint.exists(), printed(folder).read_text()
    finish(*words, '--ckpt_path', checkpoint, cwd=folder)
    return folder


@pytest.fixture(scope='module')
def checkpoint(run):
    return run / NEWEST


@pytest.fixture(scope='module')
def card(tmp_path_factory):
    path = tmp_path_factory.mktemp('card') / 'card.json'
    content = {
        'data': 'drawn faces',
        'license': 'Apache-2.0',
        'family': 'free',
        'command': 'pytest',
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope='module')
def weights(checkpoint, card, tmp_path_factory):
    out = tmp_path_factory.mktemp('weights') / 'small'
    words = ['--checkpoint', checkpoint, '--out', out, '--description', card]
    command('export', *words, cwd=out.parent)
    return out.with_suffix('.safetensors')


def test_resumes_where_it_was_killed(run, real_faces, head_model, tmp_path):
    epochs = {epoch for epoch, _ in logged(run, 'val/nme')}
    assert 0 not in epochs
    assert max(epochs) == EPOCHS - 1
    words = ['--data.head_model', head_model, '--trainer.max_epochs', EPOCHS]
    finish(*fit_words('mnn_lite', real_faces, *words), cwd=tmp_path)
    resumed, straight = (logged(folder, 'val/nme')[-1][1] for folder in (run, tmp_path))
    assert resumed == pytest.approx(straight, rel=1e-6)


def test_two_processes_train_as_one(real_faces, tmp_path):
    words = ['--trainer.devices', 2, '--trainer.accelerator', 'cpu', '--trainer.strategy', 'ddp']
    words += ['--trainer.max_epochs', 1, '--trainer.check_val_every_n_epoch', 1]
    code = program(*fit_words('hopenet_small', real_faces, *words), cwd=tmp_path).wait()
    text = printed(tmp_path).read_text()
    assert code == 0, text
    assert 'MEMBER: 2/2' in text
    assert logged(tmp_path, 'val/geodesic_deg')
    assert load_weights(str(tmp_path / 'runs/hopenet_small/newest.ckpt')).spec.name == 'hopenet'


def test_exported_weights_load_with_their_card(weights):
    model = load_model(str(weights))
    assert model.spec.name == 'mnn_lite'
    assert model.card['license'] == 'Apache-2.0'
    assert model.card['bytes'] == weights.stat().st_size


def test_exported_weights_have_an_onnx_form_for_robots_without_torch(weights):
    found = find_weights(str(weights))
    assert found.card['onnx']['bytes'] == found.onnx.stat().st_size
    network = FaceNetwork(found, 'cpu')
    assert network.backends.current.name == 'onnxruntime'
    assert not network.backends.degraded
    assert network.spec == load_model(str(weights)).spec


def test_evaluate_writes_report_and_pictures(weights, real_faces, tmp_path):
    command('evaluate', '--weights', weights, '--data', real_faces, '--out', tmp_path, cwd=tmp_path)
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['faces'] == 8
    for row in report['metrics'].values():
        low, high = row['interval']
        assert low <= row['value'] <= high
    for picture in ('curves.png', 'faces.png'):
        assert (tmp_path / picture).stat().st_size > 1000


def test_a_run_is_plotted(run, tmp_path):
    command(
        'plot-runs',
        '--runs',
        f'[{run / "runs/mnn_lite"}]',
        '--out',
        tmp_path / 'curves.png',
        cwd=tmp_path,
    )
    assert (tmp_path / 'curves.png').stat().st_size > 1000


def test_a_run_starts_from_exported_weights(weights, tmp_path):
    trained = load_model(str(weights))
    fresh = trained.spec.build()
    start_from(fresh, trained.spec, weights)
    for name, value in trained.network.state_dict().items():
        torch.testing.assert_close(fresh.state_dict()[name], value)
    with pytest.raises(TrainingError, match='only from the same network'):
        start_from(MODELS['mnn'].build(), MODELS['mnn'], weights)


def test_the_mean_of_a_run_with_itself_is_the_run(weights, checkpoint, card, tmp_path):
    words = ['--checkpoint', checkpoint, '--mean_with', f'[{weights}]', '--description', card]
    command('export', *words, '--out', tmp_path / 'mean', cwd=tmp_path)
    mean, exported = (
        load_model(str(file)).network.state_dict()
        for file in (tmp_path / 'mean.safetensors', weights)
    )
    for name, value in exported.items():
        torch.testing.assert_close(mean[name], value, rtol=1e-3, atol=1e-6)


def test_the_mean_lies_in_the_middle(tmp_path):
    spec, files = MODELS['mnn_lite'], [tmp_path / f'{name}.safetensors' for name in 'ab']
    states = [spec.build().state_dict() for _ in files]
    for file, state in zip(files, states, strict=True):
        save_weights(file, spec, state, {})
    mean = mean_of(files).state['maps.weight']
    middle = (states[0]['maps.weight'] + states[1]['maps.weight']) / 2
    torch.testing.assert_close(mean, middle, rtol=1e-2, atol=1e-3)


def test_networks_of_different_kinds_have_no_mean(tmp_path):
    files = [tmp_path / f'{name}.safetensors' for name in ('mnn_lite', 'mnn_direct')]
    for file in files:
        spec = MODELS[file.stem]
        save_weights(file, spec, spec.build().state_dict(), {})
    with pytest.raises(TrainingError, match='only weights of one network have a mean'):
        mean_of(files)


@pytest.mark.parametrize('older', [0, 1])
def test_weights_of_a_version_with_fewer_heads_have_no_mean(older, tmp_path):
    files, spec = [tmp_path / f'{name}.safetensors' for name in 'ab'], MODELS['mnn_lite']
    for index, file in enumerate(files):
        state = spec.build().state_dict()
        if index == older:
            del state['maps.weight']
        save_weights(file, spec, state, {})
    with pytest.raises(WeightsError, match='has no tensor'):
        mean_of(files)


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['evaluate', '--data', 'nowhere', '--out', 'x'], 'nowhere is not a folder'),
        (
            [
                'export',
                '--checkpoint',
                'no.ckpt',
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
    text = command(*words, cwd=tmp_path, code=2)
    assert said in text
    assert len(text.splitlines()) == 1


def test_an_error_ends_the_program_with_its_line_and_code_2(tmp_path):
    words = ['evaluate', '--data', 'nowhere', '--out', 'x']
    assert program(*words, cwd=tmp_path).wait() == 2
    text = printed(tmp_path).read_text()
    assert text.startswith('headpose-train evaluate: error: nowhere is not a folder')
    assert len(text.splitlines()) == 1


def test_a_checkpoint_is_judged_as_it_is(checkpoint, real_faces, tmp_path):
    words = ['--weights', checkpoint, '--data', real_faces, '--out', tmp_path / 'report']
    command('evaluate', *words, cwd=tmp_path)
    report = tmp_path / 'report' / 'report.json'
    assert json.loads(report.read_text())['weights'] == 'mnn_lite'
    command('compare', '--reports', f'[{report}, {report}]', '--out', tmp_path, cwd=tmp_path)
    assert (tmp_path / 'compare.md').read_text().count('| mnn_lite | mnn_lite |') == 2


class Bomb:
    def __reduce__(self):
        return print, ('code was run',)


def no_checkpoint(path):
    path.write_bytes(b'not a checkpoint')


def pickled_code(path):
    with path.open('wb') as stream:
        pickle.dump({'state_dict': Bomb()}, stream)


def bare_tensors(path):
    torch.save({'state_dict': {}}, path)


def unknown_model(path):
    torch.save({'state_dict': {}, 'headpose': {'model': 'resnet', 'version': '9'}}, path)


@pytest.mark.parametrize(
    ('write', 'said'),
    [
        (no_checkpoint, 'not a checkpoint that torch reads'),
        (pickled_code, 'not a checkpoint that torch reads'),
        (bare_tensors, 'not a checkpoint of headpose-train fit'),
        (unknown_model, "is of the model 'resnet' of version 9"),
    ],
)
def test_export_refuses_other_files(write, said, card, tmp_path):
    write(tmp_path / 'x.ckpt')
    words = ['--checkpoint', 'x.ckpt', '--out', 'y', '--description', card]
    text = command('export', *words, cwd=tmp_path, code=2)
    assert said in text
    assert 'code was run' not in text


def test_resuming_another_network_is_refused(checkpoint, real_faces, tmp_path):
    words = fit_words('hopenet_small', real_faces, '--ckpt_path', checkpoint)
    text = command(*words, cwd=tmp_path, code=2)
    assert 'the checkpoint is of another network: model is mnn_lite' in text


def test_resuming_never_runs_pickled_code(real_faces, tmp_path):
    pickled_code(tmp_path / 'x.ckpt')
    words = fit_words('hopenet_small', real_faces, '--ckpt_path', 'x.ckpt')
    text = command(*words, cwd=tmp_path, code=2)
    assert 'holds more than tensors' in text
    assert 'code was run' not in text


def test_missing_labels_are_named(real_faces, tmp_path):
    text = command(*fit_words('parts3d_small', real_faces), cwd=tmp_path, code=2)
    assert 'needs depth (--data.head_model gives depth)' in text


def test_out_of_memory_says_what_to_change(real_faces, tmp_path, monkeypatch):
    def exhausted(*_):
        raise torch.OutOfMemoryError('tried to allocate 1 PiB')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HopenetSystem, 'training_step', exhausted)
    words = fit_words('hopenet_small', real_faces, '--trainer.max_epochs', 1)
    with pytest.raises(TrainingError, match=r'lower --data\.batch_size'):
        fit([str(word) for word in words[1:]])


def test_published_hopenet_weights_are_imported(card, tmp_path):
    state = {k.removeprefix('trunk.'): v for k, v in Hopenet().state_dict().items()}
    torch.save(state | {'fc_finetune.weight': torch.zeros(3, 2051)}, tmp_path / 'published.pkl')
    words = ['--state', 'published.pkl', '--out', 'hopenet', '--description', card]
    command('import-hopenet', *words, cwd=tmp_path)
    model = load_model(str(tmp_path / 'hopenet.safetensors'))
    assert model.card['options'] == {'backbone': 'resnet50', 'decode': 'left_edges'}
    assert model.spec.margin == pytest.approx(1.96)


#: Of every command that writes: the file in `out` that it never replaces unasked; '' is `out`.
OUTPUTS = {
    'benchmark-fit': '',
    'compare': 'compare.json',
    'convert-ict': '',
    'demo-driver': 'driver.mcap',
    'evaluate': 'report.json',
    'export': 'out.safetensors',
    'import-hopenet': 'out.safetensors',
    'judge-driver': 'driver.json',
    'judge-driver-rendered': 'driver_rendered.json',
    'label': 'labels.npz',
    'mean-face': '',
    'pack-rendered': '',
    'plot-runs': '',
    'smoke': '',
    **{
        f'study-{name}': f'{name.replace("-", "_")}.json'
        for name in (
            *('annotation', 'landmark-to-pose', 'low-resolution', 'pose-labels', 'rendering-worth'),
            *('loss-weights', 'symmetry', 'tracking', 'viewing-ray', 'weights', 'zero-pitch'),
        )
    },
}


@pytest.mark.parametrize('name', [*OUTPUTS, 'render'])
def test_what_exists_is_not_replaced_unasked(name, tmp_path):
    if name == 'demo-driver':
        pytest.importorskip('rclpy')
    function = pkgutil.resolve_name(COMMANDS[name])
    parameters = inspect.signature(function).parameters.values()
    needed = {p.name: tmp_path / 'nowhere' for p in parameters if p.default is p.empty}
    out = tmp_path / ('out.png' if name == 'render' else 'out')
    file = out / OUTPUTS.get(name, '')
    if file.suffix == '.safetensors':
        file = out.with_suffix('.safetensors')
    file.parent.mkdir(exist_ok=True)
    file.write_text('made earlier')
    more = {'count': 1, 'sheet': True} if name == 'render' else {}
    with pytest.raises(OutputError, match='exists already: choose another name, or --overwrite it'):
        function(**needed | {'out': out} | more)
    assert file.read_text() == 'made earlier'


def test_every_command_that_writes_can_be_told_to_replace():
    writing = {
        name
        for name, place in COMMANDS.items()
        if 'out' in inspect.signature(pkgutil.resolve_name(place)).parameters
    }
    assert writing == {*OUTPUTS, 'render'}


def test_a_run_is_not_replaced_unasked(checkpoint, real_faces, tmp_path):
    shutil.copytree(checkpoint.parent, tmp_path / 'runs/mnn_lite')
    words = fit_words('mnn_lite', real_faces, '--trainer.max_epochs', 1)
    text = command(*words, cwd=tmp_path, code=2)
    assert 'newest.ckpt exists already: go on with it by --ckpt_path' in text
    command(*words, '--overwrite', cwd=tmp_path)
    before = checkpoint.read_bytes()
    assert (tmp_path / NEWEST).read_bytes() != before


@pytest.mark.parametrize('name', COMMANDS)
def test_no_argument_has_the_name_that_the_parser_keeps_for_itself(name):
    """jsonargparse takes --config for a file of arguments: a function never gets to see it."""
    assert 'config' not in inspect.signature(pkgutil.resolve_name(COMMANDS[name])).parameters
