"""What all stages of a recipe have in common."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headpose_training.recipes.recipe import Options, Recipe


@dataclass(frozen=True)
class Places:
    """Folders of a run of a recipe: of the data, and of what the stages make."""

    data: Path
    work: Path

    def of_recipe(self, recipe: Recipe) -> Path:
        """Return the folder of what is made for one recipe alone."""
        return self.work / recipe.name


class Stage(ABC):
    """One stage of a recipe.

    Args:
        recipe: The recipe.
        key: Kind and name, such as `render.general`.
        options: As the recipe has them.
        places: Folders of data and results.
        inputs: The stages whose outputs it takes.
    """

    def __init__(
        self,
        recipe: Recipe,
        key: str,
        options: Options,
        places: Places,
        inputs: Sequence[Stage] = (),
    ) -> None:
        self.recipe, self.key, self.options = recipe, key, options
        self.places, self.inputs = places, inputs
        #: Folder or file that the stage leaves.
        self.output = places.work.joinpath(*key.split('.'))

    @property
    def identity(self) -> Options:
        """What the output depends on, as JSON has it: another one is another output."""
        made_of = {stage.key: stage.digest for stage in self.inputs}
        identity: Options = json.loads(json.dumps(self.options | self.more() | {'from': made_of}))
        return identity

    @property
    def digest(self) -> str:
        """A short digest of `identity`."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def more(self) -> Options:
        """Return what the output depends on beside the options and the inputs."""
        return {}

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the whole output is there."""

    @abstractmethod
    def check(self) -> None:
        """Check everything that can be checked before the stages before it have run.

        Raises:
            TrainingError: An option, a folder or a teacher is not as it must be.
        """

    @abstractmethod
    def run(self) -> None:
        """Make the output; go on where it was stopped.

        Raises:
            TrainingError: It cannot be made.
        """
