"""`headpose-train fit`: Lightning's command line with our systems, data, logs and checkpoints."""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn

from headpose_training.averaging import WarmAveraging
from headpose_training.checkpoints import CHECKPOINT, start_from
from headpose_training.data.module import FaceData
from headpose_training.errors import TrainingError
from headpose_training.memory import keep_freed_memory
from headpose_training.systems.base import System

# All systems: a configuration can then name them without their module.
from headpose_training.systems.ccr import CcrSystem
from headpose_training.systems.hopenet import HopenetSystem
from headpose_training.systems.mnn import MnnSystem
from headpose_training.systems.mnn_direct import MnnDirectSystem
from headpose_training.systems.mnn_lite import MnnLiteSystem
from headpose_training.systems.parts3d import Parts3dSystem
from headpose_training.systems.ranking import RankingSystem

#: By the name that a configuration has for it.
SYSTEMS: dict[str, type[System]] = {
    system.__name__: system
    for system in (
        CcrSystem,
        HopenetSystem,
        MnnSystem,
        MnnDirectSystem,
        MnnLiteSystem,
        Parts3dSystem,
        RankingSystem,
    )
}


class HeadposeCLI(LightningCLI):
    """Adds the run's folder, averaged weights and a checkpoint after every epoch."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add `--out`, and the callbacks that every run has."""
        parser.add_argument(
            '--out', type=Path, default=Path('runs/run'), help='folder of logs and checkpoints'
        )
        parser.add_argument(
            '--start',
            type=Path | None,
            default=None,
            help='checkpoint or exported weights of the same network to start from; '
            'heads that a checkpoint lacks start afresh',
        )
        parser.add_argument(
            '--overwrite',
            type=bool,
            default=False,
            help='replace an earlier run in the folder; else that is an error',
        )
        parser.add_argument(
            '--compile',
            type=bool,
            default=shutil.which('c++') is not None,
            help='run the network through torch.compile, which needs a C++ compiler; '
            'a minute at the start',
        )
        parser.add_lightning_class_args(WarmAveraging, 'averaging')
        parser.add_lightning_class_args(ModelCheckpoint, 'checkpoint')
        parser.add_lightning_class_args(RichProgressBar, 'progress')
        parser.set_defaults(
            {
                'checkpoint.filename': Path(CHECKPOINT).stem,
                'checkpoint.enable_version_counter': False,
                # Else only after a validation, and the last epochs of a run may have none.
                'checkpoint.save_on_train_epoch_end': True,
            }
        )
        parser.link_arguments('out', 'checkpoint.dirpath')

    def before_fit(self) -> None:
        """Log to CSV and TensorBoard in the run's folder; take over the weights to start from."""
        options = self.config['fit']
        out = options['out']
        if options['ckpt_path'] is None and not options['overwrite']:
            _check_new(out / CHECKPOINT)
        if options['start'] is not None and options['ckpt_path'] is None:
            start_from(self.model.network, self.model.spec, options['start'])
        if options['compile']:
            self.model.compile_network()
        self.trainer.loggers = [CSVLogger(out, 'csv'), *_tensorboard(out)]


def _tensorboard(out: Path) -> list[Logger]:
    """Return the logger of TensorBoard, where it can be imported.

    Beside MediaPipe it may not: they want different releases of protobuf.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        rank_zero_warn(f'no logs for TensorBoard, only {out}/csv: {error}')
        return []
    return [TensorBoardLogger(out, 'tensorboard')]


def _check_new(checkpoint: Path) -> None:
    if checkpoint.exists():
        raise TrainingError(
            f'{checkpoint} exists already: go on with it by --ckpt_path {checkpoint}, choose '
            'another --out, or --overwrite it'
        )


def _trainer_defaults() -> dict[str, Any]:
    return {
        'gradient_clip_val': 5.0,
        'log_every_n_steps': 20,
        'logger': False,
        'precision': 'bf16-mixed' if computes_bfloat16() else '32-true',
        # Ours share the epoch among processes themselves: see `data.draws`.
        'use_distributed_sampler': False,
    }


def computes_bfloat16() -> bool:
    """Return whether this machine multiplies bfloat16 faster than float32.

    Processors without the instruction emulate it, several times slower than float32.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path('/proc/cpuinfo')
    words = set(flags.read_text().split()) if flags.is_file() else set()
    return bool(words & {'avx512_bf16', 'amx_bf16'})


def _accept_words() -> None:
    warnings.filterwarnings('ignore', '.*args parameter is intended to run from within Python')


class _Parsed(HeadposeCLI):
    """A command line that is parsed, and nothing more."""

    def instantiate_classes(self) -> None:
        """Leave all classes as their arguments."""


def parse(options: Mapping[str, Any]) -> HeadposeCLI:
    """Parse a configuration, without reading any data.

    Raises:
        argparse.ArgumentError: An option is unknown or of another type.
    """
    _accept_words()
    return _Parsed(
        System,
        FaceData,
        subclass_mode_model=True,
        run=False,
        seed_everything_default=False,
        parser_kwargs={'exit_on_error': False},
        args=dict(options),
    )


def fit(arguments: list[str]) -> None:
    """Train a system as the arguments say.

    Raises:
        TrainingError: The data, the configuration or the machine does not do.
    """
    keep_freed_memory()
    # Checkpoints are read as tensors only: a file from elsewhere must not run code.
    words = ['fit', '--weights_only', 'true', *arguments]
    _accept_words()
    try:
        HeadposeCLI(
            System,
            FaceData,
            subclass_mode_model=True,
            save_config_kwargs={'overwrite': True},
            seed_everything_default=1,
            trainer_defaults=_trainer_defaults(),
            args=words,
        )
    except pickle.UnpicklingError as error:
        raise TrainingError(
            'the checkpoint to resume from is damaged, or holds more than tensors: give one that '
            'headpose-train fit wrote'
        ) from error
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise TrainingError(
                'out of memory: lower --data.batch_size (and raise '
                '--trainer.accumulate_grad_batches by as much), or use a smaller input or network'
            ) from error
        raise
