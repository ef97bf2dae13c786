"""Recipes: the whole chain in miniature, killed and resumed; and what is wrong with one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from headpose_ros.models.released import find_weights

from headpose_training.cli import main
from headpose_training.errors import TrainingError
from headpose_training.recipes import command
from headpose_training.recipes.command import run, stages_of
from headpose_training.recipes.recipe import read_recipe, shortened
from headpose_training.recipes.records import Record, State
from headpose_training.recipes.stage import Places

RELEASED = Path(__file__).parents[1] / 'recipes'
#: 64 rendered faces that a detector finds, JPEG files one after the other.
FACES = Path(__file__).parents[2] / 'test' / 'data' / 'rendered_faces.npz'
MINIATURE = """
family: research
license: for tests
remark: a miniature

render:
  few: {count: 6, seed: 3, size: 96, workers: 1, scene: {expressions: {gaze: 2}}}

label:
  faces:
    photographs: photographs
    photograph_terms: rendered
    reference: mnn_lite_free
    teachers: [mnn_lite_research]

fit:
  first:
    start: mnn_lite_free
    faces:
      - {label: faces}
      - {render: few}
    judge: {data: real_faces}
    options: &options
      compile: false
      trainer: {max_epochs: 1}
      model: {class_path: MnnLiteSystem}
      data: {batch_size: 4, workers: 0, epoch_crops: 8}
  second:
    start: first
    faces:
      - {data: real_faces, repeats: 2}
      - {render: few}
    judge: {data: real_faces}
    options:
      <<: *options
      trainer: {max_epochs: 6}

average: {fits: [first, second]}
export:
  judge: {data: real_faces}
"""


@pytest.fixture(scope='module')
def data(real_faces, tmp_path_factory):
    """Write the folder of `--data`: photographs to label, and faces with labels to judge on."""
    folder = tmp_path_factory.mktemp('data')
    shutil.copytree(real_faces, folder / 'real_faces')
    (folder / 'photographs').mkdir()
    with np.load(FACES) as packed:
        files = np.split(packed['images'], np.cumsum(packed['lengths'])[:-1])
    for number, content in enumerate(files):
        (folder / 'photographs' / f'{number:02d}.jpg').write_bytes(content.tobytes())
    return folder


@pytest.fixture
def recipe(tmp_path):
    """Return what writes a recipe: the miniature after some changes of its content."""

    def write(*changes, name='tiny'):
        content = yaml.safe_load(MINIATURE)
        for path, value in changes:
            *above, last = path.split('/')
            place = content
            for key in above:
                place = place[key]
            place[last] = value
        file = tmp_path / f'{name}.yaml'
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    return write


def started(recipe, data, work):
    """Start the program as a researcher does."""
    words = [sys.executable, '-m', 'headpose_training.cli', 'run', recipe, '--data', data]
    with (work.parent / 'printed.txt').open('w') as out:
        return subprocess.Popen(
            [*words, '--work', work],
            stdout=out,
            stderr=out,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )


@pytest.fixture(scope='module')
def chain(data, tmp_path_factory):
    """Run the miniature, kill -9 in the middle of its second fit, and run it to its end."""
    folder = tmp_path_factory.mktemp('chain')
    recipe, work = folder / 'tiny.yaml', folder / 'work'
    recipe.write_text(MINIATURE)
    checkpoint = work / 'tiny' / 'second' / 'newest.ckpt'
    with started(recipe, data, work) as first:
        while not checkpoint.exists() and first.poll() is None:
            time.sleep(0.02)
        first.kill()
    printed = (folder / 'printed.txt').read_text()
    assert checkpoint.exists(), printed
    assert not (work / 'tiny' / 'average.safetensors').exists(), printed
    times = {file: file.stat().st_mtime_ns for file in finished(work)}
    with started(recipe, data, work) as second:
        second.wait()
    printed = (folder / 'printed.txt').read_text()
    assert second.returncode == 0, printed
    return recipe, work, times, printed


def finished(work):
    """Return files of the stages before the one that is killed."""
    return [
        work / 'render/few/shard-00000/labels.npz',
        work / 'label/faces/labels.npz',
        work / 'tiny/first/newest.ckpt',
    ]


def test_a_killed_run_goes_on_at_its_stage_and_epoch(chain):
    _, work, times, printed = chain
    assert {file: file.stat().st_mtime_ns for file in finished(work)} == times
    assert '[4/6] fit.second goes on' in printed
    assert '[1/6]' not in printed
    newest = max((work / 'tiny/second/csv').glob('*/metrics.csv'))
    epochs = [line.partition(',')[0] for line in newest.read_text().splitlines()[1:]]
    assert epochs[-1] == '5'
    assert '0' not in epochs


def test_the_card_has_data_teachers_command_hours_metrics_operations_and_digests(chain):
    recipe, work, *_ = chain
    weights = find_weights(str(work / 'tiny/tiny.safetensors'))
    card = weights.card
    assert '6 rendered faces' in card['data']
    assert 'rendered)' in card['data']
    assert set(card['teachers']) == {'mnn_lite_free', 'mnn_lite_research'}
    assert 'research only' in card['teachers']['mnn_lite_research']
    assert card['command'] == 'headpose-train run recipes/tiny.yaml'
    assert card['recipe_sha256'] == read_recipe(recipe).digest
    assert set(card['machine_hours']) == {*card['stages'], 'all'}
    assert card['machine_hours']['all'] > 0
    assert card['metrics']['judged on'] == ['afw']
    assert card['operations']['gmac'] == pytest.approx(0.097, abs=0.01)
    assert card['operations']['parameters'] > 800_000
    assert (card['family'], card['license']) == ('research', 'for tests')
    assert weights.onnx is not None


def test_a_run_that_is_done_does_nothing(chain, data, capsys, monkeypatch):
    recipe, work, *_ = chain
    monkeypatch.setattr(command, '_run', None)  # would fail
    run(recipe, data, work)
    assert capsys.readouterr().out.count('done') == 6


def test_a_changed_option_of_a_done_stage_is_reported(chain, data, recipe):
    _, work, *_ = chain
    changed = recipe(('render/few/seed', 4))
    with pytest.raises(TrainingError, match=r'render\.few: .*\(seed was 3, is 4\).*--overwrite it'):
        run(changed, data, work)
    states = [Record(s).state for s in stages_of(read_recipe(changed), Places(data, work))]
    # What was made of those faces was made otherwise, too; labels were not.
    assert states[1] is State.DONE
    assert {*states[:1], *states[2:]} == {State.CHANGED}


def test_a_stage_whose_output_is_gone_is_to_do(chain, data, recipe, tmp_path):
    _, work, *_ = chain
    copy = shutil.copytree(work, tmp_path / 'work')
    (copy / 'tiny/average.safetensors').unlink()
    states = [Record(s).state for s in stages_of(read_recipe(recipe()), Places(data, copy))]
    assert states == [State.DONE] * 4 + [State.TO_DO, State.DONE]


def test_overwrite_makes_changed_stages_anew(chain, data, recipe, tmp_path):
    _, work, *_ = chain
    copy = shutil.copytree(work, tmp_path / 'work')
    run(recipe(('average/fits', ['second'])), data, copy, overwrite=True)
    assert (copy / 'tiny/first/newest.ckpt').stat().st_mtime_ns == (
        (work / 'tiny/first/newest.ckpt').stat().st_mtime_ns
    )
    average, before = ((w / 'tiny/average.safetensors').read_bytes() for w in (copy, work))
    assert average != before


def test_a_dry_run_prints_what_is_to_do_and_makes_nothing(recipe, data, tmp_path, capsys):
    run(recipe(), data, tmp_path / 'work', dry_run=True)
    assert capsys.readouterr().out.count('to do') == 6
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ([('rendr', {})], r'unknown stage or entry of tiny\.yaml: rendr; the nearest is render'),
        ([('family', 'open')], "unknown family 'open'"),
        ([('render/few/cuont', 3)], r'unknown option of render\.few: cuont; the nearest is count'),
        (
            [('render/few/scene', {'poses': {'yaw': 9}})],
            r'scene\.poses\.yaw; the nearest is scene\.poses\.yaw_deg',
        ),
        ([('render/few/count', 'many')], r'render\.few: .*"count"'),
        ([('render/few/head_model', 'ict.npz')], r'render\.few needs .*ict\.npz, which is missing'),
        ([('render/few/head_model', '/ict.npz')], 'must be relative to the folder of --data'),
        ([('label/faces/photographs', 'photos')], r'label\.faces needs .*photos, which is missing'),
        (
            [('label/faces/teachers', ['mediapip'])],
            r'teacher of label\.faces: mediapip; the nearest is mediapipe',
        ),
        ([('family', 'free')], 'cannot come from mnn_lite_research'),
        ([('fit/first/faces', [{'render': 'fwe'}])], r'fit\.first: fwe; the nearest is few'),
        ([('fit/second/start', 'frst')], r'start of fit\.second: frst; the nearest is first'),
        ([('fit/first/options/model/class_path', 'MnnLite')], 'the nearest is MnnLiteSystem'),
        ([('fit/first/options/trainer', {'max_epoch': 2})], r'the nearest is trainer\.max_epochs'),
        ([('average/fits', ['frst'])], 'unknown fit of average: frst; the nearest is first'),
    ],
)
def test_a_wrong_recipe_is_one_line_before_anything_runs(changes, said, recipe, data, tmp_path):
    with pytest.raises(TrainingError, match=said):
        run(recipe(*changes), data, tmp_path / 'work')
    assert not (tmp_path / 'work').exists()


def test_a_missing_data_folder_is_named(recipe, tmp_path, monkeypatch, capsys):
    words = ['run', str(recipe()), '--data', str(tmp_path / 'nowhere'), '--dry_run']
    monkeypatch.setattr(sys, 'argv', ['headpose-train', *words])
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith('headpose-train run: error: ')
    assert said.endswith('nowhere is not a folder: --data is the folder of the datasets\n')


def test_quick_makes_the_same_stages_of_next_to_nothing(data):
    whole = read_recipe(RELEASED / 'mnn_lite_free.yaml')
    small = shortened(whole)
    assert [small.render[name]['count'] for name in whole.render] == [12, 12, 12]
    assert small.label['fairface']['limit'] == 100
    assert small.fit['main']['options']['data']['epoch_crops'] == 12
    assert small.fit['main']['options']['data']['crop'] == 'tracked'
    assert whole.fit['main']['options']['trainer'] == {'max_epochs': 24}


@pytest.mark.parametrize('file', sorted(RELEASED.glob('*.yaml')), ids=lambda file: file.stem)
def test_released_recipes_are_right(file, tmp_path):
    """Their options exist: with stand-ins for the data, everything but the teachers is checked."""
    for name in ('ict_facekit', 'fairface', 'real_faces'):
        (tmp_path / name).mkdir()
    (tmp_path / 'ict_facekit/ict_facekit.npz').touch()
    for stage in stages_of(read_recipe(file), Places(tmp_path, tmp_path / 'work')):
        if stage.key.startswith('label'):
            assert stage.identity['weights']
        else:
            stage.check()


def test_a_killed_attempt_counts_until_its_last_file(recipe, data, tmp_path):
    stage = stages_of(read_recipe(recipe()), Places(data, tmp_path))[0]
    Record(stage).begin()
    stage.output.mkdir(parents=True)
    later = time.time() + 1800
    os.utime(stage.output, (later, later))
    Record(stage).begin()  # after a kill: nothing ended the first
    assert Record(stage).hours == pytest.approx(0.5, abs=0.01)
    content = json.loads((tmp_path / 'render/few.record.json').read_text())
    assert len(content['attempts']) == 2
