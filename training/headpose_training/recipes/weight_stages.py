"""The stages that make weights of training runs: their mean, and the files with the card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from headpose_ros.models.weights import save_weights

from headpose_training.checkpoints import mean_of
from headpose_training.errors import TrainingError
from headpose_training.export import export
from headpose_training.metrics.evaluate import evaluate
from headpose_training.recipes.fit_stage import FitStage, judge_faces
from headpose_training.recipes.recipe import Options, Recipe, check_known
from headpose_training.recipes.stage import Places, Stage


class AverageStage(Stage):
    """The mean of the weights of runs of one lineage.

    Args:
        recipe: The recipe.
        places: Folders of data and results.
        fits: All runs of the recipe.
    """

    def __init__(self, recipe: Recipe, places: Places, fits: Sequence[FitStage]) -> None:
        check_known(recipe.average, ['fits'], 'option of average')
        names = recipe.average['fits']
        check_known(names, recipe.fit, 'fit of average')
        self.fits = [fit for fit in fits if fit.key.removeprefix('fit.') in names]
        super().__init__(recipe, 'average', recipe.average, places, self.fits)
        self.output = places.of_recipe(recipe) / 'average.safetensors'

    @property
    def is_complete(self) -> bool:
        """Whether the file is there."""
        return self.output.is_file()

    def check(self) -> None:
        """Have nothing to check: the runs were checked as this one was made."""

    def run(self) -> None:
        """Write the mean."""
        saved = mean_of([fit.checkpoint for fit in self.fits])
        part = self.output.with_suffix('.part')
        save_weights(part, saved.spec, saved.state, saved.options)
        part.rename(self.output)


class ExportStage(Stage):
    """The weights in both forms, their judgement, and the card.

    Args:
        recipe: The recipe.
        places: Folders of data and results.
        average: The weights.
        describe: Returns what the card has beside digests and metrics.
    """

    def __init__(
        self,
        recipe: Recipe,
        places: Places,
        average: AverageStage,
        describe: Callable[[], Options],
    ) -> None:
        check_known(recipe.export, ['judge'], 'option of export')
        if 'judge' not in recipe.export:
            raise TrainingError('export needs judge: faces to judge the weights on')
        super().__init__(recipe, 'export', recipe.export, places, [average])
        self._average, self._describe = average, describe
        self.output = places.of_recipe(recipe) / f'{recipe.name}.safetensors'

    @property
    def is_complete(self) -> bool:
        """Whether the weights have a card."""
        return self.output.is_file() and self.output.with_suffix('.json').is_file()

    def more(self) -> Options:
        """Return what the card has of the recipe."""
        return {name: getattr(self.recipe, name) for name in ('family', 'license', 'remark')}

    def check(self) -> None:
        """Check the faces of the judge."""
        judge_faces(self.options['judge'], self.places.data, self.key)

    def run(self) -> None:
        """Write the weights, judge them, and write the card."""
        file = self.output.with_name('description.json')
        file.write_text(json.dumps(self._describe(), indent=2) + '\n', encoding='utf-8')
        export(self._average.output, self.output.with_suffix(''), file, overwrite=True)
        judge = judge_faces(self.options['judge'], self.places.data, self.key)
        evaluate(
            Path(judge['folder']),
            self.output.with_name('report'),
            str(self.output),
            judge['format'],
            judge['sets'],
            update_card=True,
            overwrite=True,
        )
