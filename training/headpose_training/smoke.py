"""Train every system for a few steps on drawn faces, export and judge it: does it all fit?"""

from __future__ import annotations

import json
from pathlib import Path

from headpose_ros.files import check_new

from headpose_training.checkpoints import CHECKPOINT
from headpose_training.data.drawn_faces import write_head_model, write_real_faces
from headpose_training.errors import TrainingError
from headpose_training.export import export
from headpose_training.metrics.evaluate import evaluate

#: Configurations, each with what makes every phase one epoch long.
_RUNS: dict[str, tuple[list[str], int]] = {
    'ccr_small': ([], 1),
    'hopenet_small': ([], 1),
    'mnn_small': (['pretraining'], 2),
    'mnn_lite': ([], 1),
    'parts3d_small': (['detection', 'regression', 'joint'], 4),
    'ranking_small': (['pretraining'], 2),
}
_CARD = {
    'data': 'drawn faces',
    'license': 'Apache-2.0',
    'family': 'free',
    'command': 'headpose-train smoke',
}


def smoke(
    out: Path = Path('out/smoke'), configs: Path = Path('configs'), overwrite: bool = False
) -> None:
    """Train each system for a few steps, through all of its phases; export and judge each.

    Args:
        out: Folder for faces, runs, weights and reports.
        configs: Folder of the configurations.
        overwrite: Replace what an earlier call left in it; else that is an error.

    Raises:
        TrainingError: A configuration is missing, or anything of a system fails.
    """
    check_new(out, overwrite)
    from headpose_training.fit import fit  # Lightning takes seconds to import

    data = write_real_faces(out / 'real_faces')
    head = write_head_model(out / 'head.npz')
    card = out / 'card.json'
    card.write_text(json.dumps(_CARD), encoding='utf-8')
    for name, (phases, epochs) in _RUNS.items():
        config = configs / f'{name}.yaml'
        if not config.is_file():
            raise TrainingError(f'{config} is missing: run this in the training folder')
        run = out / name
        words = [f'--config={config}', f'--out={run}', '--overwrite=true']
        words += [f'--data.folder={data}']
        words += [f'--data.head_model={head}', '--data.batch_size=8', '--data.workers=0']
        words += ['--data.repeats=1', f'--trainer.max_epochs={epochs}']
        words += ['--trainer.check_val_every_n_epoch=1']
        fit([*words, '--compile=false', *(f'--model.init_args.{phase}=1' for phase in phases)])
        export(run / CHECKPOINT, run / 'weights', card, overwrite=True)
        evaluate(data, run / 'report', str(run / 'weights.safetensors'), overwrite=True)
    print(f'{len(_RUNS)} systems trained, exported and judged in {out}')
