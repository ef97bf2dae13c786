"""What every system shares: the network, phases, the optimizer, validation, checkpoints."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import lightning
import numpy as np
import torch
from headpose_ros import __version__
from headpose_ros.geometry.landmarks import SCHEMES
from headpose_ros.models.registry import MODELS
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from headpose_training.checkpoints import CHECKPOINT_KEY
from headpose_training.data.draws import run_seed
from headpose_training.data.module import Batch
from headpose_training.errors import TrainingError
from headpose_training.metrics.landmarks import nme_outer_eyes
from headpose_training.metrics.pose import align, geodesic_deg


@dataclass(frozen=True)
class Optimization:
    """Optimizer and learning rate.

    Attributes:
        optimizer: adam, adamw or rmsprop.
        learning_rate: The largest.
        weight_decay: Of the optimizer.
        schedule: constant, or cosine with a short warm-up, anew in every phase.
        warm_up: Share of a phase in which the rate rises.
    """

    optimizer: Literal['adam', 'adamw', 'rmsprop'] = 'adamw'
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal['constant', 'cosine'] = 'cosine'
    warm_up: float = 0.05

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimizer of groups that hold `params` and a factor `scale` of the rate."""
        kinds = {
            'adam': torch.optim.Adam,
            'adamw': torch.optim.AdamW,
            'rmsprop': torch.optim.RMSprop,
        }
        scaled = [
            {'params': group['params'], 'lr': self.learning_rate * group.get('scale', 1.0)}
            for group in groups
        ]
        return kinds[self.optimizer](scaled, lr=self.learning_rate, weight_decay=self.weight_decay)

    def factor(self, progress: float) -> float:
        """Return the share of the learning rate at a progress within the phase, in [0, 1]."""
        if self.schedule == 'constant':
            return 1.0
        if progress < self.warm_up:
            return max(progress / self.warm_up, 1e-3)
        rest = (progress - self.warm_up) / (1 - self.warm_up)
        return max((1 + math.cos(math.pi * min(rest, 1.0))) / 2, 1e-3)


class System(lightning.LightningModule):
    """Base of the systems.

    A run may have several phases, such as pre-training and fine-tuning: all but the last have a
    length in epochs, the last lasts until the run's end.

    Args:
        options: What the network is built with, beyond the registry's defaults.
        input_size: Crop side in px; 0 is the registry's.
        margin: Crop side over the larger side of the landmarks' box; 0 is the registry's.
        optimization: Optimizer and learning rate.
        phases: Names and lengths in epochs of all phases but the last.
        last_phase: Name of the last phase.
    """

    #: Name in the registry.
    model: ClassVar[str]
    #: Labels without which the system cannot train: fields of `data.samples.LabelledFace`.
    needs: ClassVar[frozenset[str]]
    #: Method of the network that the losses start from; empty where they need several.
    entry: ClassVar[str] = 'forward'

    def __init__(
        self,
        options: Mapping[str, Any],
        input_size: int,
        margin: float,
        optimization: Optimization,
        phases: Mapping[str, int] | None = None,
        last_phase: str = 'all',
    ) -> None:
        super().__init__()
        self.options = dict(options)
        line = MODELS[self.model]
        self.spec = replace(
            line, input_size=input_size or line.input_size, margin=margin or line.margin
        )
        # Channels last: depthwise convolutions on a CPU train a quarter faster, GPUs like it too.
        self.network: nn.Module = self.spec.build(**self.options).to(
            memory_format=torch.channels_last
        )
        self._compiled: Callable[..., Any] | None = None
        self.optimization = optimization
        self._phase_names = [*(phases or {}), last_phase]
        self._phase_ends = list(itertools.accumulate((phases or {}).values()))

    @property
    def phase(self) -> str:
        """Return the name of the phase of the current epoch."""
        return self._phase_names[self._phase_index(self.current_epoch)]

    def _phase_index(self, epoch: float) -> int:
        return sum(epoch >= end for end in self._phase_ends)

    def compile_network(self) -> None:
        """Let `run` go through torch.compile, for batches of one size."""
        if self.entry:
            self._compiled = torch.compile(getattr(self.network, self.entry), dynamic=False)

    def run(self, images: Tensor) -> Any:
        """Return what the network's `entry` says of (B, 3, S, S) crops, in training."""
        step = self._compiled or getattr(self.network, self.entry)
        with self._precision():
            return step(images.contiguous(memory_format=torch.channels_last))

    def _precision(self) -> AbstractContextManager[Any]:
        """Return the context in which the network runs: autocast, where the trainer has it."""
        if self._trainer is None:
            return nullcontext()
        return self._trainer.precision_plugin.forward_context()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the current phase's loss; their sum is minimised."""
        raise NotImplementedError

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of one batch; its noise depends on seed, epoch and index alone."""
        # Not once an epoch: Lightning leaves that hook out where a run is resumed.
        place = (run_seed(), self.current_epoch, index, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))
        # Rotations and their errors are too fine for half precision: only the network runs in it.
        with torch.autocast(self.device.type, enabled=False):
            parts = self.losses(batch)
        total = torch.stack(list(parts.values())).sum()
        self.log_dict({f'train/{name}': value for name, value in parts.items()})
        self.log('train/loss', total, prog_bar=True)
        return total

    def on_validation_epoch_start(self) -> None:
        """Forget the previous epoch's faces."""
        self._judged: list[dict[str, Tensor]] = []

    def validation_step(self, batch: Batch, index: int) -> None:
        """Collect predictions: the aligned pose error needs all faces at once."""
        out = self.network(batch['image'])
        row: dict[str, Tensor] = {}
        if 'rotation' in batch:
            row |= {'rotation': out.rotation, 'true_rotation': batch['rotation']}
        if out.points is not None and 'points' in batch:
            chosen = list(SCHEMES[self.spec.scheme])
            row |= {'points': out.points, 'true_points': batch['points'][:, chosen]}
        self._judged.append({name: value.float().cpu() for name, value in row.items()})

    def on_validation_epoch_end(self) -> None:
        """Log the aligned geodesic error (degrees) and the NME by outer eyes (%)."""
        if not self._judged:
            return
        rows = {
            name: torch.cat([row[name] for row in self._judged]).double().numpy()
            for name in self._judged[0]
        }
        if 'rotation' in rows:
            turned = align(rows['rotation'], rows['true_rotation'])
            error = float(geodesic_deg(turned, rows['true_rotation']).mean())
            self.log('val/geodesic_deg', error, prog_bar=True, sync_dist=True)
        if 'points' in rows:
            nme = 100 * float(nme_outer_eyes(rows['points'], rows['true_points']).mean())
            self.log('val/nme', nme, prog_bar=True, sync_dist=True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what is trained: groups of `params`, with a factor `scale` of the rate."""
        return [{'params': [p for p in self.parameters() if p.requires_grad]}]

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """Return the optimizer and the schedule over the phases."""
        optimizer = self.optimization.build(self.parameter_groups())
        epochs = self.trainer.max_epochs
        steps = float(self.trainer.estimated_stepping_batches)
        if not math.isfinite(steps) or epochs is None or epochs < 1:
            raise TrainingError('the run has no end: set --trainer.max_epochs')
        per_epoch = max(steps / epochs, 1.0)
        schedule = LambdaLR(optimizer, lambda step: self._rate(step / per_epoch, epochs))
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': schedule, 'interval': 'step'},
        }

    def _rate(self, epoch: float, epochs: int) -> float:
        bounds = [0, *self._phase_ends, epochs]
        index = self._phase_index(epoch)
        start, end = bounds[index], bounds[index + 1]
        return self.optimization.factor((epoch - start) / max(end - start, 1))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write what network the weights are for."""
        checkpoint[CHECKPOINT_KEY] = {
            'model': self.spec.name,
            'options': _plain(self.options),
            'input_size': self.spec.input_size,
            'margin': self.spec.margin,
            'version': __version__,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another network, before its tensors are read.

        Raises:
            TrainingError: It is of another model, or of one that was built otherwise.
        """
        found = checkpoint.get(CHECKPOINT_KEY, {})
        wanted = {'model': self.spec.name, 'options': _plain(self.options)}
        for name, value in wanted.items():
            if found.get(name) != value:
                raise TrainingError(
                    f'the checkpoint is of another network: {name} is {found.get(name)}, the '
                    f'configuration says {value}; resume with the configuration of that run'
                )


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON has them: a checkpoint must not need code to be read."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
