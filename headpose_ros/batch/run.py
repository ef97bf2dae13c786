"""A run: pieces of work are handed out, counted and reported, until every source is done."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from headpose_ros.batch.engines import Engine
from headpose_ros.batch.folder import Folder
from headpose_ros.batch.inputs import Recording
from headpose_ros.batch.options import BatchOptions
from headpose_ros.batch.work import JOIN, PART, Outcome, Piece
from headpose_ros.files import OutputError

#: How often the progress is shown, s: on a terminal, where a line replaces the last, and elsewhere.
_SHOWN_EVERY, _LOGGED_EVERY = 0.5, 30.0


@dataclass
class Report:
    """What a run did.

    Attributes:
        finished: Sources whose tables were made now.
        before: Sources that were finished before.
        failed: Reasons by source.
        images: How many were looked at now.
        seconds: How long it took.
    """

    finished: int = 0
    before: int = 0
    failed: dict[Recording, str] = field(default_factory=dict)
    images: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        todo: Sources without tables, or with old ones, the largest first: the last to end is then
            a small one.
        before: Sources that are finished.
    """

    todo: tuple[Recording, ...]
    before: tuple[Recording, ...]


def plan(recordings: Sequence[Recording], options: BatchOptions, folder: Folder) -> Plan:
    """Return which sources are to be done."""
    finished = {r for r in recordings if folder.is_finished(r, options)}
    todo = sorted((r for r in recordings if r not in finished), key=lambda r: -r.bytes)
    return Plan(tuple(todo), tuple(r for r in recordings if r in finished))


def run(
    wanted: Plan, options: BatchOptions, folder: Folder, engine: Engine, stream: TextIO = sys.stderr
) -> Report:
    """Do all that is wanted, and write `summary.parquet` and `failed.parquet`.

    Args:
        wanted: What is to be done.
        options: What decides the tables.
        folder: Where they go; owned by the caller.
        engine: Where the work runs; closed at the end.
        stream: Gets the progress.

    Raises:
        OutputError: Tables cannot be written; what is finished stays.
        EngineError: The engine cannot go on; the same.
    """
    work = _Run(wanted, options, folder, engine, stream)
    try:
        work.do()
    finally:
        engine.close()
        work.end()
    return work.report


class _Run:
    def __init__(
        self, wanted: Plan, options: BatchOptions, folder: Folder, engine: Engine, stream: TextIO
    ) -> None:
        self._options, self._folder, self._engine = options, folder, engine
        self._queue = deque(Piece(recording) for recording in wanted.todo)
        self._under_way = 0
        self._open_parts: dict[Recording, set[int]] = {}
        self._begun = time.monotonic()
        self.report = Report(before=len(wanted.before))
        self._progress = _Progress(wanted, stream)

    def do(self) -> None:
        """Hand out pieces until there are none."""
        while self._queue or self._under_way:
            while self._queue and self._under_way < self._engine.slots:
                self._engine.submit(self._queue.popleft())
                self._under_way += 1
            for outcome in self._engine.wait(1.0):
                self._under_way -= 1
                self._take(outcome)
            self._progress.show(self.report)

    def end(self) -> None:
        """Write the tables over all sources."""
        self._progress.end()
        self.report.seconds = time.monotonic() - self._begun
        rows = [
            {'source': r.uri, 'kind': r.kind, 'bytes': r.bytes, 'reason': reason}
            for r, reason in sorted(self.report.failed.items(), key=lambda item: item[0].uri)
        ]
        self._folder.write('failed', rows)
        self._folder.write('summary', list(self._folder.rows('summary')))

    def _take(self, outcome: Outcome) -> None:
        piece = outcome.piece
        if outcome.is_fatal:
            raise OutputError(outcome.failure)
        self.report.images += outcome.images
        if outcome.failure:
            self._fail(piece.recording, outcome.failure)
        elif outcome.parts:
            self._divide(piece.recording, outcome)
        elif piece.action == PART:
            self._close_part(piece)
        else:
            self.report.finished += 1
            self._progress.finish(piece.recording)

    def _fail(self, recording: Recording, reason: str) -> None:
        """Note a failure once; what else there is to do for the source is dropped."""
        self._open_parts.pop(recording, None)
        self._queue = deque(piece for piece in self._queue if piece.recording != recording)
        if recording not in self.report.failed:
            self.report.failed[recording] = reason
            self._progress.finish(recording)

    def _divide(self, recording: Recording, outcome: Outcome) -> None:
        """Queue the parts of a film that are not there from a run before."""
        missing = {
            number
            for number in range(len(outcome.parts))
            if not self._folder.part(recording, self._options, number).is_dir()
        }
        self._open_parts[recording] = missing
        pieces = [Piece(recording, PART, outcome.parts, number) for number in sorted(missing)]
        self._queue.extendleft(reversed(pieces or [Piece(recording, JOIN, outcome.parts)]))

    def _close_part(self, piece: Piece) -> None:
        parts = self._open_parts.get(piece.recording)
        if parts is None:  # another part has failed
            return
        parts.discard(piece.number)
        if not parts:
            self._queue.appendleft(Piece(piece.recording, JOIN, piece.parts))


class _Progress:
    """One line on a terminal; in a log a line now and then."""

    def __init__(self, wanted: Plan, stream: TextIO) -> None:
        self._count = len(wanted.todo)
        self._bytes = sum(r.bytes for r in wanted.todo)
        self._done = self._done_bytes = 0
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._begun = self._shown = time.monotonic()

    def finish(self, recording: Recording) -> None:
        """Count a source, good or not."""
        self._done += 1
        self._done_bytes += recording.bytes

    def show(self, report: Report) -> None:
        """Show where the run is, if it is time."""
        now = time.monotonic()
        if now - self._shown >= (_SHOWN_EVERY if self._is_terminal else _LOGGED_EVERY):
            self._shown = now
            line = self._line(report, now - self._begun)
            self._stream.write(f'\r\x1b[K{line}' if self._is_terminal else f'{line}\n')
            self._stream.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal:
            self._stream.write('\r\x1b[K')

    def _line(self, report: Report, seconds: float) -> str:
        share = self._done_bytes / max(self._bytes, 1)
        left = duration(seconds * (1.0 - share) / share) if share else '?'
        return (
            f'{self._done} of {self._count} sources, {readable(self._done_bytes)} of '
            f'{readable(self._bytes)}, {report.images / max(seconds, 1e-9):.0f} images/s, '
            f'{left} left, {len(report.failed)} failed'
        )


def readable(count: float) -> str:
    """Return bytes in a unit that fits."""
    for unit in ('B', 'kB', 'MB', 'GB'):
        if count < 1000:
            return f'{count:.3g} {unit}'
        count /= 1000
    return f'{count:.4g} TB'


def duration(seconds: float) -> str:
    """Return a time as hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02}'
