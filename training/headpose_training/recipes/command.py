"""`headpose-train run`: a recipe from data to the card; goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from headpose_training.errors import TrainingError
from headpose_training.recipes.card import describe
from headpose_training.recipes.data_stages import LabelStage, RenderStage
from headpose_training.recipes.fit_stage import FitStage
from headpose_training.recipes.recipe import Recipe, read_recipe, shortened
from headpose_training.recipes.records import Record, State
from headpose_training.recipes.stage import Places, Stage
from headpose_training.recipes.weight_stages import AverageStage, ExportStage


def run(
    recipe: Path,
    data: Path,
    work: Path = Path('runs'),
    dry_run: bool = False,
    quick: bool = False,
    overwrite: bool = False,
) -> None:
    """Make the weights of a recipe: render, label, fit, average, export, judge, write the card.

    Stages that are done are kept. One that was stopped goes on with its next shard of faces, its
    next file of labels or its next epoch. A stage whose options were changed is reported.

    Args:
        recipe: YAML file; its name is that of the weights.
        data: Folder that holds the datasets and heads which the recipe names.
        work: Folder for everything that is made; recipes share rendered faces and labels in it.
        dry_run: Print what is done and what is to do, check all that can be checked, run nothing.
        quick: Make next to nothing in each stage, in `work`/quick: does it all fit together?
        overwrite: Replace stages whose options were changed; else that is an error.

    Raises:
        TrainingError: The recipe is wrong, data or a teacher is missing, options of a stage were
            changed, or a stage fails.
    """
    wanted = read_recipe(recipe)
    if not data.is_dir():
        raise TrainingError(f'{data} is not a folder: --data is the folder of the datasets')
    if quick:
        wanted, work = shortened(wanted), work / 'quick'
    stages = stages_of(wanted, Places(data, work))
    _print(stages)
    if not overwrite:
        _refuse_changed(stages)
    for stage in stages:
        if Record(stage).state is not State.DONE:
            stage.check()
    for number, stage in enumerate([] if dry_run else stages, 1):
        if Record(stage).state is not State.DONE:
            _run(stage, f'{number}/{len(stages)}')


def stages_of(recipe: Recipe, places: Places) -> list[Stage]:
    """Return the stages of a recipe in their order.

    Raises:
        TrainingError: The recipe is wrong.
    """
    stages: list[Stage] = [
        *(RenderStage(recipe, f'render.{n}', o, places) for n, o in recipe.render.items()),
        *(LabelStage(recipe, f'label.{n}', o, places) for n, o in recipe.label.items()),
    ]
    fits: list[FitStage] = []
    for name in recipe.fit:
        fits.append(FitStage(recipe, name, places, [*stages, *fits]))
    average = AverageStage(recipe, places, fits)
    stages += [*fits, average]
    return [*stages, ExportStage(recipe, places, average, partial(describe, recipe, list(stages)))]


def _print(stages: Sequence[Stage]) -> None:
    table = Table('stage', 'state', 'hours', Column('output', overflow='fold'))
    for stage in stages:
        record = Record(stage)
        hours = f'{record.hours:.2f}' if record.hours else ''
        table.add_row(stage.key, record.state.value, hours, str(stage.output))
    Console().print(table)


def _refuse_changed(stages: Sequence[Stage]) -> None:
    for stage in stages:
        record = Record(stage)
        if record.state is State.CHANGED:
            raise TrainingError(
                f'{stage.key}: {stage.output} was made with other options '
                f'({"; ".join(record.changes)}): put them back, choose another --work, or '
                '--overwrite it'
            )


def _run(stage: Stage, number: str) -> None:
    console, record = Console(), Record(stage)
    how = ' goes on' if record.state is State.BEGUN else ''
    console.print(f'[{number}] {stage.key}{how}', markup=False)
    record.begin()
    done = False
    try:
        stage.run()
        done = True
    except KeyboardInterrupt as interrupt:
        raise TrainingError(
            f'interrupted in {stage.key}: the same command goes on from there'
        ) from interrupt
    finally:
        record.end(done)
    console.print(f'{stage.key} took {record.hours:.2f} h')
