"""What a recipe file holds, read and checked before anything runs."""

from __future__ import annotations

import copy
import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from headpose_training.errors import TrainingError
from headpose_training.labelling.teachers import FREE, RESEARCH

Options = dict[str, Any]

#: Upper limits that make every stage a matter of seconds.
_QUICK_FACES, _QUICK_PHOTOGRAPHS, _QUICK_EPOCHS, _QUICK_BATCH, _QUICK_STEPS = 12, 100, 2, 4, 3


@dataclass(frozen=True)
class Recipe:
    """How a weights file is made. Folders in it are relative to the folder of the data.

    Attributes:
        name: Of the weights file, as of the recipe file.
        digest: SHA-256 of the recipe file.
        family: `free`, for weights that anybody may use, or `research`.
        license: Terms of the weights.
        render: Options of `headpose-train render` by the name of the faces.
        label: Options of `headpose-train label` by the name of the labels.
        fit: By name, in their order: `faces`, `judge`, `start`, and `options` of `headpose-train
            fit`.
        average: `fits`: runs of one lineage, whose mean is exported.
        export: `judge`: faces on which the weights are judged.
        remark: Anything else that the card says.
    """

    name: str
    digest: str
    family: str
    license: str
    fit: dict[str, Options]
    average: Options
    export: Options
    render: dict[str, Options] = field(default_factory=dict)
    label: dict[str, Options] = field(default_factory=dict)
    remark: str = ''


def read_recipe(file: Path) -> Recipe:
    """Return the recipe of a YAML file.

    Raises:
        TrainingError: It is missing, or is no recipe.
    """
    try:
        data = file.read_bytes()
        content = yaml.safe_load(data)
    except (OSError, yaml.YAMLError) as error:
        raise TrainingError(f'{file} cannot be read as a recipe: {error}') from error
    known = [f.name for f in fields(Recipe) if f.name not in ('name', 'digest')]
    needed = [name for name in known if name not in ('render', 'label', 'remark')]
    if not isinstance(content, dict):
        raise TrainingError(f'{file} is not a recipe: expected {", ".join(needed)}')
    check_known(content, known, f'stage or entry of {file.name}')
    if missing := [name for name in needed if not content.get(name)]:
        raise TrainingError(f'{file} lacks {", ".join(missing)}')
    if content['family'] not in (FREE, RESEARCH):
        raise TrainingError(
            f'{file}: unknown family {content["family"]!r}: expected {FREE} or {RESEARCH}'
        )
    _check_stages(content, file)
    return Recipe(name=file.stem, digest=hashlib.sha256(data).hexdigest(), **content)


def check_known(found: Iterable[str], known: Iterable[str], what: str) -> None:
    """Check names against those that exist.

    Raises:
        TrainingError: One is unknown; the message has the nearest one.
    """
    names = list(known)
    for name in map(str, found):
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f'the nearest is {near[0]}' if near else f'expected one of {", ".join(names)}'
            raise TrainingError(f'unknown {what}: {name}; {hint}')


def shortened(recipe: Recipe) -> Recipe:
    """Return a recipe of the same stages with so little in each that all take a minute or two."""
    return replace(
        recipe,
        render={name: _few(o, 'count', _QUICK_FACES) for name, o in recipe.render.items()},
        label={name: _few(o, 'limit', _QUICK_PHOTOGRAPHS) for name, o in recipe.label.items()},
        fit={name: _short(options) for name, options in recipe.fit.items()},
    )


def _few(options: Options, name: str, most: int) -> Options:
    return options | {name: min(options.get(name) or most, most)}


def _short(fit: Options) -> Options:
    options = copy.deepcopy(fit.get('options', {}))
    options['compile'] = False
    options['trainer'] = options.get('trainer', {}) | {
        'max_epochs': _QUICK_EPOCHS,
        'check_val_every_n_epoch': 1,
        'precision': '32-true',
    }
    options['data'] = options.get('data', {}) | {
        'batch_size': _QUICK_BATCH,
        'epoch_crops': _QUICK_BATCH * _QUICK_STEPS,
        'limit': _QUICK_PHOTOGRAPHS,
        'workers': 0,
    }
    return fit | {'options': options}


def _check_stages(content: Mapping[str, Any], file: Path) -> None:
    for kind in ('render', 'label', 'fit'):
        stages = content.get(kind, {})
        if not isinstance(stages, dict) or not all(isinstance(o, dict) for o in stages.values()):
            raise TrainingError(f'{file}: expected under {kind} names, and under each its options')
    for kind in ('average', 'export'):
        if not isinstance(content[kind], dict):
            raise TrainingError(f'{file}: expected under {kind} its options')
