"""The stage that trains a network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import yaml
from headpose_ros.models.released import released, released_file, sha256

from headpose_training.checkpoints import CHECKPOINT
from headpose_training.data.formats import FORMATS
from headpose_training.data.readers.labelled import LABELLED
from headpose_training.data.readers.real_faces import JUDGE_SETS, REAL_FACES, TRAIN_SETS
from headpose_training.data.readers.rendered import RENDERED
from headpose_training.errors import TrainingError
from headpose_training.labelling.teachers import FREE
from headpose_training.recipes.options import check_fit, in_data
from headpose_training.recipes.recipe import Options, Recipe, check_known
from headpose_training.recipes.stage import Places, Stage
from headpose_training.resuming import train

#: What faces may be called: a stage before, or a dataset in the folder of the data.
_SOURCES = {'render': RENDERED.name, 'label': LABELLED.name, 'data': REAL_FACES.name}
_OPTIONS = ('faces', 'judge', 'start', 'options')


class FitStage(Stage):
    """A training run.

    Args:
        recipe: The recipe.
        name: Of the run.
        places: Folders of data and results.
        before: All stages before it in the recipe.
    """

    def __init__(self, recipe: Recipe, name: str, places: Places, before: Sequence[Stage]) -> None:
        options, key = recipe.fit[name], f'fit.{name}'
        check_known(options, _OPTIONS, f'option of {key}')
        if not options.get('faces') or 'judge' not in options:
            raise TrainingError(f'{key} needs faces to learn from, and judge: faces to judge on')
        wanted = [_stage_of(face, recipe, key) for face in options['faces']]
        if 'start' in options:
            runs = [s.key.removeprefix('fit.') for s in before if isinstance(s, FitStage)]
            check_known([options['start']], [*runs, *released()], f'start of {key}')
            wanted.append(f'fit.{options["start"]}')
        super().__init__(recipe, key, options, places, [s for s in before if s.key in wanted])
        self.output = places.of_recipe(recipe) / name

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint."""
        return self.output / CHECKPOINT

    @property
    def is_complete(self) -> bool:
        """Whether there is a checkpoint; the record of the run has whether it is the last."""
        return self.checkpoint.is_file()

    def more(self) -> Options:
        """Return the digest of the released weights that the run starts from."""
        start = self._start()
        return {'weights': sha256(start)} if start and start != self._start_of_run() else {}

    def check(self) -> None:
        """Check the configuration and the faces."""
        check_fit(self._configuration(), self.key)

    def run(self) -> None:
        """Train; from the newest checkpoint, where there is one."""
        self.output.mkdir(parents=True, exist_ok=True)
        file = self.output / 'recipe.yaml'
        file.write_text(yaml.safe_dump(self._configuration()), encoding='utf-8')
        train(file, self.output)

    def _configuration(self) -> Options:
        """Return the whole configuration for `headpose-train fit`."""
        whole = copy.deepcopy(self.options.get('options', {}))
        first, *others = [self._source(face) for face in self.options['faces']]
        first['train_sets'] = first.pop('sets')
        data = whole.get('data', {}) | first | {'also': others}
        judge = judge_faces(self.options['judge'], self.places.data, self.key)
        data |= {f'judge_{name}': value for name, value in judge.items()}
        if 'head_model' in data:
            data['head_model'] = str(in_data(data['head_model'], self.places.data, self.key))
        start = self._start()
        return whole | {
            'data': data | {'free': self.recipe.family == FREE},
            'out': str(self.output),
            'start': str(start) if start else None,
        }

    def _start(self) -> Path | None:
        """Return the weights to start from."""
        if 'start' not in self.options:
            return None
        return self._start_of_run() or released_file(self.options['start'])

    def _start_of_run(self) -> Path | None:
        """Return the checkpoint of the run before that this one starts from."""
        runs = [stage.checkpoint for stage in self.inputs if isinstance(stage, FitStage)]
        return runs[0] if runs else None

    def datasets(self) -> list[tuple[str, str]]:
        """Return name and format of the datasets that are no stages' outputs."""
        faces = [face for face in self.options['faces'] if 'data' in face]
        return [(face['data'], face.get('format', REAL_FACES.name)) for face in faces]

    def _source(self, face: Options) -> Options:
        """Return an entry of `faces` as `data.also` has it."""
        kind = _kind_of(face)
        name, format = face[kind], face.get('format', _SOURCES[kind])
        folder = self.places.work / kind / name
        if kind == 'data':
            folder = in_data(name, self.places.data, self.key)
        return {
            'folder': str(folder),
            'format': format,
            'sets': face.get('sets', list(TRAIN_SETS) if format == REAL_FACES.name else []),
            'repeats': face.get('repeats', 1),
        }


def judge_faces(judge: Options, data: Path, stage: str) -> Options:
    """Return folder, format and sets of the faces on which a network is judged.

    Args:
        judge: `data`, a folder in that of the data; `format` and `sets` where they are others
            than those of real_faces.
        data: Folder of the data.
        stage: For errors.

    Raises:
        TrainingError: An option is unknown, or the folder is missing.
    """
    check_known(judge, ('data', 'format', 'sets'), f'option of {stage}: judge')
    format = judge.get('format', REAL_FACES.name)
    check_known([format], FORMATS, f'format of {stage}: judge')
    sets = judge.get('sets', list(JUDGE_SETS) if format == REAL_FACES.name else [])
    return {'folder': str(in_data(judge['data'], data, stage)), 'format': format, 'sets': sets}


def _stage_of(face: Options, recipe: Recipe, stage: str) -> str:
    """Return the key of the stage that makes faces, after a check of the entry."""
    check_known(face, (*_SOURCES, 'format', 'sets', 'repeats'), f'option of {stage}: faces')
    if sum(kind in face for kind in _SOURCES) != 1:
        raise TrainingError(f'{stage}: each of its faces needs one of {", ".join(_SOURCES)}')
    kind = _kind_of(face)
    made = {'render': recipe.render, 'label': recipe.label}
    if kind in made:
        check_known([face[kind]], made[kind], f'{kind} stage in the faces of {stage}')
    check_known([face.get('format', REAL_FACES.name)], FORMATS, f'format of {stage}: faces')
    return f'{kind}.{face[kind]}'


def _kind_of(face: Options) -> str:
    return next(kind for kind in _SOURCES if kind in face)
