"""What the card of weights has of the recipe that made them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from headpose_ros import __version__

from headpose_training.data.formats import FORMATS
from headpose_training.data.readers.labelled import read_about
from headpose_training.data.readers.rendered import RENDERED
from headpose_training.recipes.data_stages import LabelStage, RenderStage
from headpose_training.recipes.fit_stage import FitStage
from headpose_training.recipes.recipe import Recipe
from headpose_training.recipes.records import Record
from headpose_training.recipes.stage import Stage


def describe(recipe: Recipe, stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the card without digests and metrics, which export and judge add.

    Args:
        recipe: The recipe.
        stages: All stages before the export; they are done.
    """
    teachers: dict[str, str] = {}
    for stage in stages:
        if isinstance(stage, LabelStage):
            teachers |= read_about(stage.output)['teachers']
    hours = {stage.key: Record(stage).hours for stage in stages}
    return {
        'data': '; '.join(_data(stages)),
        'teachers': teachers,
        'license': recipe.license,
        'family': recipe.family,
        'command': f'headpose-train run recipes/{recipe.name}.yaml',
        'recipe_sha256': recipe.digest,
        'stages': {stage.key: stage.identity for stage in stages},
        'machine': _machine(),
        'machine_hours': {k: round(h, 4) for k, h in {**hours, 'all': sum(hours.values())}.items()},
        'made_by': f'headpose_ros {__version__}',
        **({'remark': recipe.remark} if recipe.remark else {}),
    }


def _data(stages: Sequence[Stage]) -> list[str]:
    """Return what the weights learned from, a text for each source, with its terms."""
    found: dict[str, None] = {}
    for stage in stages:
        if isinstance(stage, RenderStage):
            found[f'{stage.options["count"]:,} rendered faces ({RENDERED.terms})'] = None
        elif isinstance(stage, LabelStage):
            about = read_about(stage.output)
            found[f'photographs with labels by teachers ({about["photograph_terms"]})'] = None
        elif isinstance(stage, FitStage):
            for name, format in stage.datasets():
                found[f'{name} ({FORMATS[format].terms})'] = None
    return list(found)


def _machine() -> str:
    names = [f'{os.cpu_count()} cores of {_processor()}']
    if torch.cuda.is_available():
        names += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ', '.join(names)


def _processor() -> str:
    """Return the processor's name, where the system has it."""
    file = Path('/proc/cpuinfo')
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()
