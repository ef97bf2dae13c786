"""Pictures of a judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros.geometry.crop import apply_affine
from headpose_ros.geometry.rotations import face_from_aligned
from headpose_ros.perception.crop import cut
from headpose_ros.perception.draw import AXIS_COLORS, SUBPIXEL_BITS, fixed_point
from headpose_ros.perception.infer import Estimate
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from headpose_training.data.samples import LabelledFace
from headpose_training.metrics.estimates import window_of
from headpose_training.metrics.judge import Judgement
from headpose_training.metrics.pose import upright_angles_deg

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
_TILE, _COLUMNS, _ROWS_EACH, _TITLE = 200, 8, 2, 30
_TRUE, _PREDICTED = (255, 255, 255), (80, 255, 80)
_YAW_STEP_DEG, _LEAST_IN_BIN = 10, 5
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def drawn_errors(judgement: Judgement) -> dict[str, Array]:
    """Return (N,) errors by axis label, those that the judgement has; NaN without a label."""
    errors = {
        'geodesic error (degrees)': judgement.aligned.geodesic,
        'NME, outer eyes (%)': 100 * judgement.nme['outer eyes'],
    }
    return {label: values for label, values in errors.items() if np.isfinite(values).any()}


def write_error_curves(path: Path, errors: Mapping[str, Array]) -> None:
    """Write cumulative error curves, one panel for each of the (N,) errors."""
    figure, panels = _panels(len(errors))
    for axis, (label, values) in zip(panels, errors.items(), strict=True):
        known = np.sort(values[np.isfinite(values)])
        share = 100 * np.arange(1, len(known) + 1) / len(known)
        middle, limit = np.percentile(known, [50, 99])
        axis.plot(known, share, drawstyle='steps-post')
        axis.plot([0, middle, middle], [50, 50, 0], ':', color='gray')
        axis.annotate(f'median {middle:.1f}', (middle, 50), (8, -12), textcoords='offset points')
        # A few lost faces must not squeeze the curve: it runs on to 100 % beyond the right edge.
        axis.set(xlim=(0, 1.1 * limit), ylim=(0, 101), xlabel=label, ylabel='faces (%)')
    _save(figure, path)


def write_errors_against_yaw(path: Path, yaw: Array, errors: Mapping[str, Array]) -> None:
    """Write errors over the label's yaw: every face, medians and quartiles of 10° bins.

    Args:
        path: PNG to write.
        yaw: (N,) degrees, NaN without a label.
        errors: (N,) by axis label.
    """
    figure, panels = _panels(len(errors))
    for axis, (label, values) in zip(panels, errors.items(), strict=True):
        known = np.isfinite(yaw) & np.isfinite(values)
        axis.scatter(yaw[known], values[known], s=8, alpha=0.3, linewidths=0)
        _draw_medians(axis, yaw[known], values[known])
        axis.set(xlabel='yaw of the label (degrees)', ylabel=label, ylim=(0, None))
    _save(figure, path)


def _draw_medians(axis: Axes, yaw: Array, values: Array) -> None:
    bins = np.floor(yaw / _YAW_STEP_DEG)
    filled = [b for b in np.unique(bins) if (bins == b).sum() >= _LEAST_IN_BIN]
    if not filled:
        return
    quartiles = np.array([np.percentile(values[bins == b], [25, 50, 75]) for b in filled])
    low, middle, high = quartiles.T
    x = (np.array(filled) + 0.5) * _YAW_STEP_DEG
    bars = np.abs([middle - low, high - middle])
    axis.errorbar(
        x, middle, bars, color='C3', marker='o', ms=4, capsize=3, label='median, quartiles'
    )
    axis.legend()


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    figure, panels = plt.subplots(
        1, count, figsize=(4.8 * count, 3.6), layout='constrained', squeeze=False
    )
    for axis in panels[0]:
        axis.grid(alpha=0.4)
    return figure, panels[0]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=120)
    plt.close(figure)


def write_landmarks(
    path: Path, faces: Sequence[LabelledFace], estimates: Sequence[Estimate], judgement: Judgement
) -> None:
    """Write a sheet of the faces with the best and the worst landmarks, by NME."""
    nme = judgement.nme['outer eyes']

    def tile(index: int) -> Image:
        face, image, to_tile = _blank_tile(faces[index])
        assert face.landmarks is not None
        for points, color in ((face.landmarks, _TRUE), (estimates[index].landmarks, _PREDICTED)):
            for point in apply_affine(to_tile, points):
                cv2.circle(image, fixed_point(point), 24, color, -1, cv2.LINE_AA, SUBPIXEL_BITS)
        return _written(image, [f'NME {100 * nme[index]:.1f} %'])

    _write_sheet(path, nme, tile, 'Landmarks: white labelled, green predicted')


def write_poses(path: Path, faces: Sequence[LabelledFace], judgement: Judgement) -> None:
    """Write a sheet of the faces with the best and the worst poses, one constant rotation removed.

    The axes are those of the face frame: x out of the face, y to the person's left, z up.
    """
    errors = judgement.aligned.geodesic

    def tile(index: int) -> Image:
        face, image, _ = _blank_tile(faces[index])
        assert face.rotation is not None
        turned = judgement.turned[index]
        _draw_axes(image, face.rotation, (_TRUE,) * 3, 6)
        _draw_axes(image, turned, AXIS_COLORS, 2)
        lines = [
            f'{name} {_angles(r)}' for name, r in (('label', face.rotation), ('found', turned))
        ]
        return _written(image, [f'{errors[index]:.1f} deg', *lines])

    note = 'Axes: white labelled, coloured predicted. Numbers: yaw, pitch, roll'
    _write_sheet(path, errors, tile, note)


def _angles(rotation: Array) -> str:
    pitch, yaw, roll = upright_angles_deg(rotation[None])[0]
    return f'{yaw:+.0f} {pitch:+.0f} {roll:+.0f}'


def _write_sheet(path: Path, errors: Array, tile: Callable[[int], Image], note: str) -> None:
    """Write the best faces above, the worst below; faces without an error are in neither."""
    order = np.argsort(errors)[: np.isfinite(errors).sum()]
    count = min(_COLUMNS * _ROWS_EACH, len(order))
    best, worst = order[:count], order[::-1][:count]
    parts = []
    for name, chosen in (('Best', best), ('Worst', worst)):
        parts += [_title(f'{name}. {note}'), _tiled([tile(int(i)) for i in chosen])]
    cv2.imwrite(str(path), np.vstack(parts))


def _tiled(tiles: list[Image]) -> Image:
    blank = np.zeros((_TILE, _TILE, 3), np.uint8)
    tiles = tiles + [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _title(text: str) -> Image:
    strip = np.zeros((_TITLE, _TILE * _COLUMNS, 3), np.uint8)
    cv2.putText(strip, text, (8, 21), _FONT, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def _blank_tile(face: LabelledFace) -> tuple[LabelledFace, Image, Array]:
    """Return the face, its picture, and the (2, 3) map from the image to it."""
    window = window_of(face)
    return face, cut(face.read_image(), window, _TILE), window.to_crop(_TILE)


def _draw_axes(
    image: Image, aligned: Array, colors: Sequence[tuple[int, int, int]], width: int
) -> None:
    """Draw the face frame's axes from the middle, far ones first."""
    rotation = face_from_aligned(aligned)
    middle = np.full(2, (_TILE - 1) / 2)
    for axis in np.argsort(-rotation[2]):
        tip = middle + 0.38 * _TILE * rotation[:2, axis]
        ends = fixed_point(middle), fixed_point(tip)
        cv2.line(image, *ends, colors[axis], width, cv2.LINE_AA, SUBPIXEL_BITS)


def _written(image: Image, lines: Sequence[str]) -> Image:
    """Return the tile with lines of text, the last at its bottom."""
    for up, text in enumerate(reversed(lines)):
        place = (4, _TILE - 6 - 15 * up)
        cv2.putText(image, text, place, _FONT, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(image, text, place, _FONT, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return image
