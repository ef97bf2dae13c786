"""`headpose-train`: fit, evaluate, export and prepare."""

from __future__ import annotations

import sys
from collections.abc import Callable

from headpose_ros.errors import HeadposeError
from jsonargparse import auto_cli

from headpose_training.data.mean_face import write_mean_face
from headpose_training.errors import TrainingError
from headpose_training.export import export
from headpose_training.metrics.evaluate import evaluate

COMMANDS: dict[str, Callable[..., None]] = {
    'evaluate': evaluate,
    'export': export,
    'mean-face': write_mean_face,
}
_USAGE = """usage: headpose-train COMMAND --help

commands:
  fit        train a system:      headpose-train fit --config configs/mnn_lite_real_faces.yaml
  evaluate   judge weights:       headpose-train evaluate --weights W --data D --out O
  export     checkpoint to weights and card:  headpose-train export --checkpoint C --out W
  mean-face  make the mean face:  headpose-train mean-face --head_model NPZ --data D --out CSV"""


def main() -> int:
    """Run one command; return 0, or 2 after a one-line error."""
    command, arguments = (sys.argv[1:2] or ['--help'])[0], sys.argv[2:]
    try:
        if command == 'fit':
            _fit(arguments)
        elif command in COMMANDS:
            auto_cli(COMMANDS[command], args=arguments, as_positional=False)
        else:
            print(_USAGE)
            return 0 if command in ('-h', '--help') else 2
    except (TrainingError, HeadposeError) as error:
        print(f'headpose-train {command}: error: {error}', file=sys.stderr)
        return 2
    return 0


def _fit(arguments: list[str]) -> None:
    # Lightning takes seconds to import: only the command that needs it pays.
    from lightning.pytorch.cli import LightningCLI

    from headpose_training.data.module import RealFaces
    from headpose_training.systems.mnn_lite import MnnLiteSystem

    LightningCLI(MnnLiteSystem, RealFaces, args=['fit', *arguments], seed_everything_default=1)


if __name__ == '__main__':
    sys.exit(main())
