"""The driver's state as a picture beside the camera's: what is known, how near each limit is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import EYES, STATES
from headpose_ros.driver_monitoring.timers import Timer, timers
from headpose_ros.ros.output.driver_markers import STATE_COLORS
from headpose_ros.tools.drive import Span, kinds

Bgr = NDArray[np.uint8]

_GROUND, _RAISED, _TEXT, _FAINT = '#16181c', '#2a2e35', '#e4e6ea', '#9aa3b0'
_GOOD, _BAD, _TOLD, _TRUE = '#3fae5a', '#e04848', '#5c9dff', '#e4e6ea'
_WIDTH = 380  # px
_LANE = 13  # px


class DriverPanel:
    """Draws states beside pictures, and the whole drive below them.

    Args:
        size: Width and height of the camera's pictures, px.
        reported: All events that were reported, times as in `draw`.
        true: What really happened; empty for not known.
        seconds: Length of the drive.
        options: The limits.
    """

    def __init__(
        self,
        size: tuple[int, int],
        reported: Sequence[Span],
        true: Sequence[Span],
        seconds: float,
        options: DriverOptions,
    ) -> None:
        self._size, self._reported, self._true, self._seconds = size, reported, true, seconds
        self._timers = timers(options)
        self._lanes = kinds([*reported, *true])
        self._rows = 2 if true else 1
        self._lanes_at = size[1] + 6
        high = self._lanes_at + len(self._lanes) * (_LANE + 4) + 24
        # Video encoders want even sides.
        self._canvas = ((size[0] + _WIDTH) // 2 * 2, high // 2 * 2)
        self._still = self._timeline()

    def draw(self, picture: Bgr, state: Any, time: float) -> Bgr:
        """Return the picture with the state beside it.

        Args:
            picture: uint8 (H, W, 3) BGR of the size that was promised.
            state: headpose_ros/DriverState, or None before the first one.
            time: Of the picture, s.
        """
        canvas = self._still.copy()
        canvas.paste(Image.fromarray(picture[..., ::-1]), (0, 0))
        draw = ImageDraw.Draw(canvas)
        self._draw_state(draw, state)
        self._draw_events(draw, time)
        x = self._x(time)
        draw.line((x, self._lanes_at - 2, x, self._canvas[1] - 20), '#ff6b6b', 2)
        return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])

    def _draw_state(self, draw: ImageDraw.ImageDraw, state: Any) -> None:
        left, right = self._size[0] + 16, self._canvas[0] - 16
        name = 'unknown' if state is None else STATES[state.state]
        draw.rounded_rectangle((left, 14, right, 58), 8, STATE_COLORS[name])
        _write(draw, (left + 12, 36), name.replace('_', ' ').upper(), 22, '#ffffff', 'lm', True)
        if state is None:
            return
        _write(draw, (right - 12, 36), f'{100 * state.confidence:.0f} %', 17, '#ffffff', 'rm')
        _write(draw, (left, 76), state.reason, 14, _TEXT, 'lm')
        facts = (
            ('zone', state.zone.replace('_', ' ') or '–'),
            ('eyes', EYES[state.eyes]),
            ('blinks', _number(state.blink_rate, '/min')),
            ('yawns, nods', f'{_number(state.yawns)}, {_number(state.nods)}'),
        )
        for row, (label, value) in enumerate(facts):
            x, y = left + (row % 2) * 210, 98 + (row // 2) * 40
            _write(draw, (x, y), label, 12, _FAINT, 'lt')
            _write(draw, (x, y + 14), value, 16, _TEXT, 'lt', True)
        for row, timer in enumerate(self._timers):
            self._draw_timer(draw, timer, getattr(state, timer.signal), left, 186 + 38 * row, right)

    def _draw_timer(
        self, draw: ImageDraw.ImageDraw, timer: Timer, signal: Any, left: int, y: int, right: int
    ) -> None:
        _write(draw, (left, y), timer.label, 12, _FAINT, 'lt')
        text = f'{timer.scale * signal.value:.1f}' if signal.valid else '–'
        said = f'{text} of {timer.scale * timer.limit:g} {timer.unit}'
        _write(draw, (right, y), said, 12, _TEXT, 'rt')
        draw.rounded_rectangle((left, y + 17, right, y + 25), 4, _RAISED)
        share = min(signal.value / timer.limit, 1.0) if signal.valid else 0.0
        if share > 0.01:
            color = _BAD if share >= 1.0 else _GOOD
            end = left + max(round(share * (right - left)), 8)
            draw.rounded_rectangle((left, y + 17, end, y + 25), 4, color)

    def _draw_events(self, draw: ImageDraw.ImageDraw, time: float) -> None:
        """Write what happens now: as reported, and as it is."""
        left, y = self._size[0] + 16, 346
        for label, events, color in (
            ('reported', [e for e in self._reported if e.known <= time], _TOLD),
            ('true', self._true, _TRUE),
        ):
            if label == 'true' and not self._true:
                continue
            now = [e for e in events if e.onset <= time <= max(e.end, e.known)]
            _write(draw, (left, y), label, 12, _FAINT, 'lt')
            names = [
                e.kind.replace('_', ' ') + f' {e.zone.replace("_", " ")}' * (e.kind == 'glance')
                for e in now
            ]
            _write(draw, (left + 44, y - 1), ',  '.join(names) or '–', 14, color, 'lt')
            y += 24

    def _timeline(self) -> Image.Image:
        """Return the canvas with all that does not change: the events of the whole drive."""
        canvas = Image.new('RGB', self._canvas, _GROUND)
        draw = ImageDraw.Draw(canvas)
        for lane, kind in enumerate(self._lanes):
            top = self._lanes_at + lane * (_LANE + 4)
            _write(draw, (104, top + _LANE / 2), kind.replace('_', ' '), 12, _FAINT, 'rm')
            draw.rectangle((self._x(0), top, self._x(self._seconds), top + _LANE), _RAISED)
            half = _LANE / self._rows
            rows = ((self._true, top, _TRUE), (self._reported, top + _LANE - half, _TOLD))
            for events, place, color in rows:
                for event in (e for e in events if e.kind == kind):
                    end = max(self._x(event.end), self._x(event.onset) + 3)
                    draw.rectangle((self._x(event.onset), place, end, place + half - 1), color)
        bottom = self._canvas[1] - 10
        for second in range(0, int(self._seconds) + 1, 10):
            _write(draw, (self._x(second), bottom), f'{second}', 11, _FAINT, 'mm')
        _write(draw, (104, bottom), 'seconds', 11, _FAINT, 'rm')
        x = self._canvas[0] - 10
        for text, color in (('reported', _TOLD), ('true', _TRUE))[: self._rows]:
            _write(draw, (x, self._size[1] - 8), text, 12, color, 'rb', True)
            x -= 40
        return canvas

    def _x(self, time: float) -> int:
        return 112 + round((self._canvas[0] - 126) * time / max(self._seconds, 1e-3))


def _number(signal: Any, unit: str = '') -> str:
    return f'{signal.value:.0f}{unit}' if signal.valid else '–'


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    color: str,
    anchor: str,
    bold: bool = False,
) -> None:
    draw.text(place, text, ImageColor.getrgb(color), _font(size, bold), anchor)


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with Matplotlib."""
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / name), size)
