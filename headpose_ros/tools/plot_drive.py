"""A drive over time: signals, states and events, with the truth beside them where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.ros.output.driver_markers import STATE_COLORS
from headpose_ros.tools.drive import Drive, Span, kinds
from headpose_ros.tools.plot import save_figure

Array = NDArray[np.float64]

REPORTED, TRUE = '#2563c9', '#2b2b2b'
_WIDTH, _PANEL, _LANE = 12.0, 1.45, 0.3  # inches


@dataclass(frozen=True)
class Truth:
    """What really happened.

    Attributes:
        events: Everything that the driver did.
        times: (N,) s.
        signals: (N,) true values by the names of signals, angles in degrees.
    """

    events: Sequence[Span]
    times: Array
    signals: Mapping[str, Array]


@dataclass(frozen=True)
class _Panel:
    label: str
    signals: Mapping[str, str]  # by name: its colour
    limits: tuple[float, float]
    levels: tuple[float, ...] = ()


def plot_drive(
    drive: Drive, picture: Path, title: str, truth: Truth | None = None, overwrite: bool = False
) -> None:
    """Draw a drive.

    Args:
        drive: What was recorded.
        picture: File to write, `.png`.
        title: Above all.
        truth: What really happened, drawn beside it; None for not known.
        overwrite: Whether a file of that name is replaced.

    Raises:
        OutputError: The picture cannot be written.
    """
    panels = [panel for panel in _panels(DriverOptions()) if _is_known(panel, drive)]
    lanes = kinds([*drive.events, *(truth.events if truth else ())])
    heights = [1.0, *[4.0] * len(panels), 0.8 * len(lanes) + 0.8]
    high = _PANEL * len(panels) + _LANE * len(lanes) + 2.0
    figure = Figure(figsize=(_WIDTH, high), layout='constrained')
    rows = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    _draw_states(rows[0], drive)
    for axes, panel in zip(rows[1:-1], panels, strict=True):
        _draw_panel(axes, panel, drive, truth)
    _draw_lanes(rows[-1], lanes, drive, truth)
    rows[-1].set_xlabel('time / s')
    rows[-1].set_xlim(0.0, max(float(drive.times[-1]), 1.0))
    figure.suptitle(title, parse_math=False)  # a name may have dollar signs
    save_figure(figure, picture, overwrite)


def _panels(options: DriverOptions) -> tuple[_Panel, ...]:
    o = options
    return (
        _Panel('head direction / °', {'azimuth': 'C0', 'elevation': 'C1'}, (-40.0, 40.0)),
        _Panel('eyes open', {'eye_openness': 'C2'}, (0.0, 1.1), (o.lids.closed_below,)),
        _Panel('mouth open', {'mouth_openness': 'C3'}, (0.0, 0.7), (o.yawns.above,)),
        _Panel(
            'eyes off road / s',
            {'off_road': 'C4', 'off_road_accumulated': 'C5'},
            (0.0, 4.0),
            (o.glances.limit,),
        ),
        _Panel('PERCLOS', {'perclos': 'C6'}, (0.0, 0.2), (o.perclos.limit,)),
    )


def _is_known(panel: _Panel, drive: Drive) -> bool:
    return any(np.isfinite(drive.signals[name]).any() for name in panel.signals)


def _draw_states(axes: Axes, drive: Drive) -> None:
    for span in drive.states:
        axes.axvspan(span.onset, span.end, color=STATE_COLORS[span.kind], linewidth=0)
    for name in dict.fromkeys(span.kind for span in drive.states):
        axes.plot([], [], 's', color=STATE_COLORS[name], label=name.replace('_', ' '))
    axes.legend(loc='lower left', bbox_to_anchor=(0, 1), ncols=7, fontsize='small', frameon=False)
    axes.set_yticks([])
    axes.set_ylabel('state', rotation=0, ha='right', va='center')


def _draw_panel(axes: Axes, panel: _Panel, drive: Drive, truth: Truth | None) -> None:
    for name, color in panel.signals.items():
        if truth is not None and name in truth.signals:
            label = 'true' if name == list(panel.signals)[-1] else None
            values = truth.signals[name]
            axes.plot(truth.times, values, color='#9a9a9a', linewidth=0.9, label=label)
        said = name.replace('_', ' ')
        axes.plot(drive.times, drive.signals[name], color=color, linewidth=1.3, label=said)
    for level in panel.levels:
        axes.axhline(level, color='#d04040', linestyle=':', linewidth=1.0)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, panel.limits[0]), max(high, panel.limits[1]))
    axes.set_ylabel(panel.label)
    axes.grid(alpha=0.25)
    axes.legend(loc='upper right', ncols=4, fontsize='small')


def _draw_lanes(axes: Axes, lanes: list[str], drive: Drive, truth: Truth | None) -> None:
    """Draw events as bars: the truth in the upper half of each lane, reports in the lower."""
    for lane, kind in enumerate(lanes):
        for events, place, color in (
            (truth.events if truth else (), lane - 0.36, TRUE),
            (drive.events, lane + 0.02, REPORTED),
        ):
            for event in events:
                if event.kind == kind:
                    _draw_event(axes, event, place, color)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_yticks(range(len(lanes)), [kind.replace('_', ' ') for kind in lanes])
    axes.grid(axis='x', alpha=0.25)
    axes.plot([], [], 's', color=REPORTED, label='reported')
    if truth is not None:
        axes.plot([], [], 's', color=TRUE, label='true')
    axes.plot([], [], 's', markerfacecolor='white', color=REPORTED, label='reported, then lost')
    axes.legend(loc='lower left', bbox_to_anchor=(0, 1), ncols=3, fontsize='small', frameon=False)


def _draw_event(axes: Axes, event: Span, place: float, color: str) -> None:
    length = max(event.end - event.onset, 0.25)
    fill = 'white' if event.lost else color
    axes.broken_barh([(event.onset, length)], (place, 0.34), facecolor=fill, edgecolor=color)
