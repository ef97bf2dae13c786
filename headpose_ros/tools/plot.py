"""`headpose plot`: the angles of a table over time, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from headpose_ros.files import OutputError, write_whole
from headpose_ros.perception.table import TableError, read_table

Columns = dict[str, NDArray[np.float64]]

#: A line is broken where a face was out of sight for longer than this, seconds.
_GAP = 0.5
_WIDTH, _PANEL_HEIGHT = 10.0, 1.7  # inches


@dataclass(frozen=True)
class Panel:
    """One diagram of the picture.

    Attributes:
        label: Label of the vertical axis.
        columns: Columns of the table to draw, with the style of each line.
        limits: Range that is shown at least.
    """

    label: str
    columns: dict[str, str]
    limits: tuple[float, float]


#: A panel is left out where its columns hold no value.
PANELS = (
    Panel('yaw / °', {'yaw_deg': '-'}, (-30.0, 30.0)),
    Panel('pitch / °', {'pitch_deg': '-'}, (-30.0, 30.0)),
    Panel('roll / °', {'roll_deg': '-'}, (-30.0, 30.0)),
    Panel('distance / m', {'z_m': '-'}, (0.0, 1.0)),
    Panel('eyes open\nleft dotted', {'right_eye_openness': '-', 'left_eye_openness': ':'}, (0, 1)),
    Panel('mouth open', {'mouth_openness': '-'}, (0.0, 0.5)),
)


def plot(table: Path, picture: Path, overwrite: bool = False) -> list[str]:
    """Draw the table of `headpose video` over time, a colour for every face.

    Args:
        table: The CSV file, or the video beside which it lies.
        picture: File to write, `.png`.
        overwrite: Whether a file of that name is replaced.

    Returns:
        The labels of the panels that were drawn.

    Raises:
        TableError: The table cannot be read or holds no face.
        OutputError: The picture cannot be written.
    """
    source = table if table.suffix.lower() == '.csv' else table.with_suffix('.csv')
    faces = read_table(source)
    faces.pop('', None)  # frames in which nobody was seen
    if not faces:
        raise TableError(f'{source} holds no face: there is nothing to plot')
    panels = [panel for panel in PANELS if _known(panel, faces)]
    figure = _draw(panels, faces)
    figure.suptitle(source.name, parse_math=False)  # a name may have dollar signs
    save_figure(figure, picture, overwrite)
    return [panel.label for panel in panels]


def save_figure(figure: Figure, picture: Path, overwrite: bool) -> None:
    """Write a figure in the format that the name of the file ends with.

    Raises:
        OutputError: It cannot be written.
    """
    data = BytesIO()
    try:
        figure.savefig(data, dpi=100, format=picture.suffix[1:] or 'png')
    except ValueError as error:
        raise OutputError(f'cannot write {picture}: {error}') from error
    write_whole(picture, data.getvalue(), overwrite)


def _known(panel: Panel, faces: dict[str, Columns]) -> bool:
    columns = [face[name] for face in faces.values() for name in panel.columns if name in face]
    return any(np.isfinite(column).any() for column in columns)


def _draw(panels: list[Panel], faces: dict[str, Columns]) -> Figure:
    # Not through pyplot: no display, no global state.
    figure = Figure(figsize=(_WIDTH, 1.0 + _PANEL_HEIGHT * len(panels)), layout='constrained')
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        _draw_panel(axes, panel, faces)
    rows[-1].set_xlabel('time / s')
    rows[0].legend(loc='upper right', ncols=8, fontsize='small')
    return figure


def _draw_panel(axes: Axes, panel: Panel, faces: dict[str, Columns]) -> None:
    for index, (name, face) in enumerate(faces.items()):
        for number, (column, style) in enumerate(panel.columns.items()):
            label = name if number == 0 else None
            times, values = _with_gaps(face['time_s'], face[column])
            axes.plot(times, values, style, color=f'C{index % 10}', label=label, linewidth=1.2)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, panel.limits[0]), max(high, panel.limits[1]))
    axes.set_ylabel(panel.label)
    axes.grid(alpha=0.3)


def _with_gaps(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Put NaN into each gap, so that no line crosses it."""
    behind = np.flatnonzero(np.diff(times) > _GAP) + 1
    return np.insert(times, behind, np.nan), np.insert(values, behind, np.nan)
