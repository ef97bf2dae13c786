"""The stages that make faces to learn from: rendered ones, and photographs with labels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from headpose_ros.models.released import released, released_file, sha256

from headpose_training.data.readers.labelled import is_labelled
from headpose_training.labelling.command import label, terms_of
from headpose_training.labelling.teachers import OTHERS
from headpose_training.recipes.options import arguments, in_data
from headpose_training.recipes.recipe import Options, check_known
from headpose_training.recipes.stage import Stage
from headpose_training.synthesis.command import render
from headpose_training.synthesis.dataset import is_complete


class RenderStage(Stage):
    """Rendered faces."""

    @property
    def is_complete(self) -> bool:
        """Whether all shards are there."""
        return is_complete(self.output, self.options.get('count', 0))

    @cached_property
    def _arguments(self) -> dict[str, Any]:
        options: Options = self.options | {'out': str(self.output)}
        if 'head_model' in options:
            head = in_data(options['head_model'], self.places.data, self.key)
            options['head_model'] = str(head)
        return arguments(render, options, self.key)

    def check(self) -> None:
        """Check the options and the heads."""
        _ = self._arguments

    def run(self) -> None:
        """Render what is missing."""
        render(**self._arguments)


class LabelStage(Stage):
    """Photographs with labels by teachers."""

    @property
    def is_complete(self) -> bool:
        """Whether there are labels."""
        return is_labelled(self.output)

    @cached_property
    def _arguments(self) -> dict[str, Any]:
        folder = in_data(self.options.get('photographs', ''), self.places.data, self.key)
        own = {'photographs': str(folder), 'out': str(self.output), 'family': self.recipe.family}
        return arguments(label, self.options | own | {'overwrite': True}, self.key)

    @property
    def teachers(self) -> list[str]:
        """Names of all teachers, the reference first."""
        return [self._arguments['reference'], *self._arguments['teachers']]

    def more(self) -> Options:
        """Return the family, and the digests of the teachers that are weights of ours."""
        ours = [name for name in self.teachers if name in released()]
        return {
            'family': self.recipe.family,
            'weights': {name: sha256(released_file(name)) for name in ours},
        }

    def check(self) -> None:
        """Check the options, the photographs and the teachers."""
        names = [name for name in self.teachers if not name.endswith('.safetensors')]
        check_known(names, [*OTHERS, *released()], f'teacher of {self.key}')
        terms_of(self.teachers, self.recipe.family)

    def run(self) -> None:
        """Ask the teachers for what is missing, and write the labels."""
        label(**self._arguments)
