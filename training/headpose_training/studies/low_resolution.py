"""What is left of pose and landmarks when faces have few pixels?

The low-resolution experiment of Ruiz et al., CVPR Workshops 2018: nearest-neighbour shrinking and
enlarging, direct regression against a pose solved from predicted landmarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros import DEFAULT_MODEL
from headpose_ros.files import check_new
from headpose_ros.geometry.rotations import aligned_from_face, constant_offset
from headpose_ros.perception.infer import FaceNetwork
from matplotlib.axes import Axes
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.checkpoints import label_of, load_weights
from headpose_training.data.augment import thinned
from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError
from headpose_training.metrics.estimates import estimate_of_changed
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.landmarks import nme_outer_eyes
from headpose_training.metrics.pose import FACTORISATION, geodesic_deg, mean_pose
from headpose_training.metrics.tables import cell, markdown_table, write_report
from headpose_training.studies.common import pose_measures, with_bars
from headpose_training.studies.pnp import in_crop, solve_pose

Array = NDArray[np.float64]
Row = dict[str, Any]

FACTORS = (1, 5, 10, 15)
_DIRECT, _SOLVED = 'network', 'solvePnP from its landmarks'
_NOTES = (
    "The network's input is shrunk by the factor and enlarged again, both by nearest neighbours: "
    '"px" is what is left across the window.',
    'solvePnP: the mean face brought to the 68 predicted landmarks. The constant rotation between '
    'a method and the labels, measured at full resolution, is removed at every one. MAE of the '
    f'three angles, {FACTORISATION}. NME: outer eyes. In brackets: bootstrap over faces, 95 %.',
)


def low_resolution(
    data: Path,
    out: Path,
    weights: Sequence[str] = (DEFAULT_MODEL,),
    format: str = 'real_faces',
    sets: Sequence[str] = JUDGE_SETS,
    device: str = 'auto',
    skip_broken: bool = False,
    overwrite: bool = False,
) -> None:
    """Study networks on coarse faces; write low_resolution.md, .json and .png.

    Args:
        data: Folder of the dataset.
        out: Folder for the results.
        weights: Released models, .safetensors files, or runs' .ckpt files.
        format: Format of the dataset.
        sets: Sets of the dataset; none for all of it.
        device: auto, cpu, cuda or cuda:N.
        skip_broken: Leave out faces that cannot be read instead of stopping.
        overwrite: Replace the results that an earlier call left in it; else that is an error.

    Raises:
        TrainingError: No face has a rotation.
    """
    check_new(out / 'low_resolution.json', overwrite)
    faces = [f for f in read_faces(format, data, sets, skip_broken) if f.rotation is not None]
    if not faces:
        raise TrainingError(f'no face of {data} has a rotation to compare with')
    rows = [row for name in weights for row in _study(name, faces, device)]
    guess = measure(_constant_guess(faces))
    content = {'format': format, 'sets': list(sets), 'faces': len(faces), 'mean_pose': guess}
    title = f'# Low resolution on {", ".join(sets) or format}: {len(faces)} faces'
    baseline = f'Always answering the mean pose is {guess["value"]:.2f}° off (geodesic).'
    notes = [line for note in (*_NOTES, baseline) for line in (note, '')]
    write_report(
        out, 'low_resolution', {**content, 'rows': rows}, [title, '', *notes, *_table(rows)]
    )
    _write_picture(out / 'low_resolution.png', rows, guess['value'])


def _constant_guess(faces: Sequence[LabelledFace]) -> Array:
    target = _target(faces)
    return geodesic_deg(np.broadcast_to(mean_pose(target), target.shape), target)


def _target(faces: Sequence[LabelledFace]) -> Array:
    return np.stack([face.rotation for face in faces if face.rotation is not None])


def _study(weights: str, faces: Sequence[LabelledFace], device: str) -> list[Row]:
    """Return one row per method and factor."""
    network = FaceNetwork(load_weights(weights), device)
    target = _target(faces)
    rows, offsets = [], dict[str, Array]()
    for factor in FACTORS:
        poses, nme = _estimates(network, faces, factor)
        for method, predicted in poses.items():
            # The first factor is one: nothing is lost yet.
            offset = offsets.setdefault(method, constant_offset(predicted, target))
            rows.append(
                {
                    'weights': label_of(weights),
                    'method': method,
                    'factor': factor,
                    'pixels': round(network.spec.input_size / factor),
                    **pose_measures(predicted @ offset, target),
                    'nme': measure(100 * nme) if method == _DIRECT and len(nme) else None,
                }
            )
    return rows


def _estimates(
    network: FaceNetwork, faces: Sequence[LabelledFace], factor: int
) -> tuple[dict[str, Array], Array]:
    """Return (N, 3, 3) rotations by method, and the NME of the faces with landmarks."""
    rotations, solved, nme = [], [], []
    for face in track(faces, f'x{factor}', transient=True):
        estimate = estimate_of_changed(network, face, lambda crop: thinned(crop, factor))
        landmarks = estimate.landmarks
        rotations.append(aligned_from_face(estimate.rotation))
        if len(landmarks):
            solved.append(solve_pose(in_crop(landmarks)))
            if face.landmarks is not None:
                nme.append(nme_outer_eyes(landmarks[None], face.landmarks[None])[0])
    poses = {_DIRECT: np.stack(rotations), **({_SOLVED: np.stack(solved)} if solved else {})}
    return poses, np.array(nme)


def _table(rows: Sequence[Row]) -> list[str]:
    header = ['weights', 'pose by', 'factor', 'px', 'geodesic error (deg)', 'MAE (deg)', 'NME (%)']
    lines = [
        [
            row['weights'],
            row['method'],
            f'x{row["factor"]}',
            str(row['pixels']),
            *(cell(row[key]) for key in ('geodesic', 'mae', 'nme')),
        ]
        for row in rows
    ]
    return markdown_table(header, sorted(lines, key=lambda line: (line[0], line[1])))


def _write_picture(path: Path, rows: Sequence[Row], guess: float) -> None:
    with_landmarks = [row for row in rows if row['nme'] is not None]
    panels = [('geodesic', 'geodesic error (degrees)', rows)]
    if with_landmarks:
        panels.append(('nme', 'NME, outer eyes (%)', with_landmarks))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.4 * len(panels), 4.6), layout='constrained', squeeze=False
    )
    colors = {name: f'C{i}' for i, name in enumerate(dict.fromkeys(r['weights'] for r in rows))}
    axes[0, 0].axhline(guess, color='gray', ls=':', label='mean pose')
    for axis, (key, label, chosen) in zip(axes[0], panels, strict=True):
        _draw(axis, chosen, key, colors)
        axis.set(xlabel='resolution lost by a factor of', ylabel=label, ylim=(0, None))
        axis.set_xticks(FACTORS)
        axis.grid(alpha=0.4)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc='outside lower center', ncols=2)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw(axis: Axes, rows: Sequence[Row], key: str, colors: Mapping[str, str]) -> None:
    """Draw a line for each network and method: a colour for the network, a dash for the method."""
    for weights, method in dict.fromkeys((row['weights'], row['method']) for row in rows):
        chosen = [row for row in rows if (row['weights'], row['method']) == (weights, method)]
        values, bars = with_bars([row[key] for row in chosen])
        axis.errorbar(
            [row['factor'] for row in chosen],
            values,
            bars,
            fmt='o-' if method == _DIRECT else 's--',
            color=colors[weights],
            ms=4,
            capsize=3,
            label=f'{weights} ({chosen[0]["pixels"]} px), {method}',
        )
