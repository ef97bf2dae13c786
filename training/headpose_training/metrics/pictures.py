"""Pictures of a judgement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros.geometry.crop import CropWindow, apply_affine
from headpose_ros.perception.crop import cut
from headpose_ros.perception.infer import Estimate
from numpy.typing import NDArray

from headpose_training.data.samples import LabelledFace

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
_TILE, _COLUMNS, _ROWS_EACH = 160, 10, 2
_TRUE, _PREDICTED = (255, 255, 255), (80, 255, 80)


def write_error_curves(path: Path, nme: Array, geodesic: Array) -> None:
    """Write the cumulative error curves of landmarks and pose.

    Args:
        path: PNG to write.
        nme: (N,) fractions.
        geodesic: (N,) degrees.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout='constrained')
    panels = ((100 * nme, 'NME, outer eyes (%)', 12), (geodesic, 'geodesic error (degrees)', 15))
    for axis, (errors, label, limit) in zip(axes, panels, strict=True):
        share = np.arange(1, len(errors) + 1) / len(errors)
        axis.plot(np.sort(errors), 100 * share)
        axis.set(xlim=(0, limit), ylim=(0, 100), xlabel=label, ylabel='faces (%)')
        axis.grid(alpha=0.4)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def write_best_and_worst(
    path: Path, faces: Sequence[LabelledFace], estimates: Sequence[Estimate], nme: Array
) -> None:
    """Write a sheet: the best faces above, the worst below, each with its NME in percent."""
    order = np.argsort(nme)
    count = min(_COLUMNS * _ROWS_EACH, len(order))
    chosen = [*order[:count], *order[len(order) - count :]]
    tiles = [_tile(faces[i], estimates[i], nme[i]) for i in chosen]
    blank = np.zeros((_TILE, _TILE, 3), np.uint8)
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    cv2.imwrite(str(path), np.vstack(rows))


def _tile(face: LabelledFace, estimate: Estimate, nme: float) -> Image:
    window = CropWindow.around_landmarks(face.landmarks)
    tile = cut(face.image, window, _TILE)
    to_tile = window.to_crop(_TILE)
    for points, color in ((face.landmarks, _TRUE), (estimate.landmarks, _PREDICTED)):
        for x, y in apply_affine(to_tile, points).round().astype(int).tolist():
            cv2.circle(tile, (x, y), 1, color, -1, cv2.LINE_AA)
    text = f'{100 * nme:.1f} %'
    cv2.putText(tile, text, (4, _TILE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3)
    cv2.putText(tile, text, (4, _TILE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
    return tile
