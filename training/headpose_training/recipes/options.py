"""Options of a stage against the signature of the command that it runs."""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from headpose_training.errors import TrainingError
from headpose_training.recipes.recipe import Options, check_known

#: What `model` is made of in a configuration of `headpose-train fit`.
_CLASS, _ARGUMENTS = 'class_path', 'init_args'


def flat(options: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield nested options by their dotted names, as the command line has them."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from flat(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value


def arguments(function: Callable[..., Any], options: Options, stage: str) -> dict[str, Any]:
    """Return the arguments with which a function is called, checked and of its types.

    Args:
        function: A command of `headpose-train`.
        options: Nested, as in a recipe.
        stage: For errors.

    Raises:
        TrainingError: An option is unknown, missing, or of another type.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(function, as_group=False)
    check_known(dict(flat(options)), parser.get_defaults().keys(), f'option of {stage}')
    try:
        found = parser.instantiate(parser.parse_object(options))
    except (ArgumentError, ValueError) as error:
        raise TrainingError(f'{stage}: {error}') from error
    return dict(vars(found))


def check_fit(options: Options, stage: str) -> None:
    """Check a configuration of `headpose-train fit`, without reading any data.

    Raises:
        TrainingError: An option is unknown or of another type.
    """
    from headpose_training.fit import SYSTEMS, parse  # Lightning takes seconds to import

    model = options.get('model', {})
    check_known(model, (_CLASS, _ARGUMENTS), f'option of {stage}: model')
    check_known([model.get(_CLASS, '')], SYSTEMS, f'option of {stage}: model.class_path')
    parser = ArgumentParser()
    parser.add_class_arguments(SYSTEMS[model[_CLASS]])
    given = dict(flat(model.get(_ARGUMENTS, {})))
    check_known(given, parser.get_defaults().keys(), f'option of {stage}: model.init_args')
    try:
        least = {'model': {_CLASS: model[_CLASS]}, 'data': {'folder': '.'}}
        known = parse(least).parser.get_defaults().keys()
        rest = {name: value for name, value in options.items() if name != 'model'}
        check_known(dict(flat(rest)), [*known, 'seed_everything'], f'option of {stage}')
        parse({name: value for name, value in options.items() if name != 'seed_everything'})
    except ArgumentError as error:
        raise TrainingError(f'{stage}: {error}') from error


def in_data(folder: str, data: Path, stage: str) -> Path:
    """Return a file or folder of the data that a recipe names.

    Raises:
        TrainingError: It is missing, or its name leads out of the data.
    """
    if Path(folder).is_absolute() or '..' in Path(folder).parts:
        raise TrainingError(f'{stage}: {folder} must be relative to the folder of --data')
    if not (data / folder).exists():
        raise TrainingError(f'{stage} needs {data / folder}, which is missing')
    return data / folder
