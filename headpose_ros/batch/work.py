"""One piece of work, the same in every engine: from a recording, or a part of it, to tables."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpose_ros import __version__
from headpose_ros.batch.drive import Drive, is_drive
from headpose_ros.batch.folder import Folder, size_of
from headpose_ros.batch.images import Skipped, Span, images
from headpose_ros.batch.inputs import FILM, Recording, local_path
from headpose_ros.batch.look import Seen, analyzer, look
from headpose_ros.batch.options import BatchOptions
from headpose_ros.batch.rows import face_row
from headpose_ros.batch.split import joined, spans, write_part
from headpose_ros.batch.tables import TableWriter, write_table
from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.driver_monitoring.zones_file import read_zones
from headpose_ros.errors import HeadposeError
from headpose_ros.files import OutputError, make_folder, write_whole
from headpose_ros.ros.node.share import share_file

WHOLE, PART, JOIN = 'whole', 'part', 'join'


@dataclass(frozen=True)
class Piece:
    """Something to do.

    Attributes:
        recording: The source.
        action: `WHOLE`: make its tables, or find out in which parts; `PART`: work on one part of a
            film; `JOIN`: make the tables of its parts.
        parts: Of the film.
        number: Of the part.
    """

    recording: Recording
    action: str = WHOLE
    parts: tuple[Span, ...] = ()
    number: int = 0

    @property
    def name(self) -> str:
        """For people."""
        part = f' part {self.number + 1} of {len(self.parts)}' if self.action == PART else ''
        return f'{self.recording.uri}{part}'


@dataclass(frozen=True)
class Outcome:
    """What became of a piece of work.

    Attributes:
        piece: The piece.
        images: How many were looked at.
        failure: Why there is no result; empty for a good one.
        is_fatal: Whether the failure is one of the folder of the tables, and not of the source.
        parts: The parts in which a film is to be worked on; empty for none.
    """

    piece: Piece
    images: int = 0
    failure: str = ''
    is_fatal: bool = False
    parts: tuple[Span, ...] = ()


def do(piece: Piece, options: BatchOptions, out: str) -> Outcome:
    """Do a piece of work; whatever is wrong with a source is part of the outcome.

    Args:
        piece: What is to be done.
        options: What decides the tables.
        out: Folder of the tables, which every machine has at the same path.
    """
    action = {WHOLE: _whole, PART: _part, JOIN: _join}[piece.action]
    try:
        return action(piece, options, Folder(Path(out)))
    except OutputError as error:
        return Outcome(piece, failure=str(error), is_fatal=True)
    except HeadposeError as error:
        return Outcome(piece, failure=str(error))
    except OSError as error:
        return Outcome(piece, failure=f'cannot be read: {error}')
    except Exception as error:  # one source must not end the run
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        return Outcome(piece, failure=f'defect in headpose_ros: {reason[:500]}')


def _whole(piece: Piece, options: BatchOptions, folder: Folder) -> Outcome:
    begun, recording, skipped = time.monotonic(), piece.recording, Skipped()
    if recording.kind == FILM and not recording.is_remote:
        parts = spans(Path(recording.uri), options.split)
        if len(parts) > 1:
            return Outcome(piece, parts=tuple(parts))
    with tempfile.TemporaryDirectory(prefix='headpose_batch_') as fetched:
        path = local_path(recording, Path(fetched))
        pictures = images(recording, path, options.topics, skipped)
        seen = look(analyzer(options), pictures)
        count = _write(piece, options, folder, seen, skipped, begun)
    return Outcome(piece, count)


def _part(piece: Piece, options: BatchOptions, folder: Folder) -> Outcome:
    recording, skipped = piece.recording, Skipped()
    path, span = Path(recording.uri), piece.parts[piece.number]
    begun = time.monotonic()
    with folder.aside() as aside:
        tables = aside / 'part'
        make_folder(tables)
        pictures = images(recording, path, (), skipped, span)
        count = write_part(tables, look(analyzer(options), pictures))
        notes = [skipped.count, skipped.problem, time.monotonic() - begun]
        write_whole(tables / 'notes.json', json.dumps(notes).encode())
        folder.publish_part(recording, options, piece.number, tables)
    return Outcome(piece, count)


def _join(piece: Piece, options: BatchOptions, folder: Folder) -> Outcome:
    begun, skipped = time.monotonic(), Skipped()
    places = [folder.part(piece.recording, options, i) for i in range(len(piece.parts))]
    for place in places:
        count, problem, work = json.loads((place / 'notes.json').read_text())
        skipped.count += count
        skipped.problem = skipped.problem or problem
        begun -= work
    seen = joined(places, piece.parts)
    _write(piece, options, folder, seen, skipped, begun)
    folder.remove_parts(piece.recording)
    return Outcome(piece)


def _write(
    piece: Piece,
    options: BatchOptions,
    folder: Folder,
    seen: Iterable[Seen],
    skipped: Skipped,
    begun: float,
) -> int:
    """Write all tables of a source and let them appear; return the number of images.

    Raises:
        HeadposeError: None of its images can be used, or it cannot be read.
        OutputError: The tables cannot be written.
    """
    recording = piece.recording
    with folder.aside() as aside:
        tables = aside / 'tables'
        make_folder(tables)
        counts = _Counts()
        _write_rows(tables, recording, options, seen, counts)
        if not counts.images:
            raise HeadposeError(f'no image can be used: {skipped.problem or "there is none"}')
        write_table(
            tables / 'summary.parquet', 'summary', [_summary(recording, options, counts, skipped)]
        )
        cost = {
            'source': recording.uri,
            'images': counts.images,
            'faces': counts.faces,
            'seconds': counts.seconds,
            'work': time.monotonic() - begun,
            'bytes': size_of(tables),
            'device': str(analyzer(options).network.device),
        }
        write_table(tables / 'cost.parquet', 'cost', [cost])
        folder.publish(recording, options, tables)
    return counts.images


class _Counts:
    """What a source has, counted as it goes by."""

    def __init__(self) -> None:
        self.images = self.faces = self.events = self.crowded = 0
        self.ids: set[tuple[str, str]] = set()
        self.seconds = 0.0
        self._topic: str | None = None
        self._begin = 0.0
        self.image = -1

    def take(self, seen: Seen) -> None:
        if seen.topic != self._topic:
            self._topic, self._begin, self.image = seen.topic, seen.offset, -1
        self.image += 1
        self.images += 1
        self.faces += len(seen.faces)
        self.crowded += seen.crowded
        self.ids.update((seen.topic, face.id) for face in seen.faces)
        self.seconds = max(self.seconds, seen.offset - self._begin)


def _write_rows(
    tables: Path, recording: Recording, options: BatchOptions, seen: Iterable[Seen], counts: _Counts
) -> None:
    drive: Drive | None = None
    zones, topic = _zones(options), None
    with (
        TableWriter(tables / 'faces.parquet', 'faces') as faces,
        TableWriter(tables / 'driver.parquet', 'driver') as driver,
        TableWriter(tables / 'events.parquet', 'events') as events,
    ):

        def put(rows: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
            for row in rows[0]:
                driver.add(row)
            for row in rows[1]:
                events.add({'source': recording.uri, 'topic': topic, **row})

        for one in seen:
            if one.topic != topic:
                if drive is not None:
                    put(drive.end())
                drive, topic = Drive(zones) if is_drive(one) else None, one.topic
            counts.take(one)
            image = {
                'source': recording.uri,
                'topic': one.topic,
                'image': counts.image,
                'stamp': one.stamp,
                'offset': one.offset,
            }
            for face in one.faces:
                faces.add({**image, **face_row(face, options.model_sha256)})
            if drive is not None:
                put(drive.take(one, image))
        if drive is not None:
            put(drive.end())
        counts.events = events.count


def _summary(
    recording: Recording, options: BatchOptions, counts: _Counts, skipped: Skipped
) -> dict[str, Any]:
    return {
        'source': recording.uri,
        'key': recording.key,
        'kind': recording.kind,
        'bytes': recording.bytes,
        'modified': recording.modified,
        'images': counts.images,
        'skipped': skipped.count,
        'problem': skipped.problem,
        'seconds': counts.seconds,
        'faces': counts.faces,
        'ids': len(counts.ids),
        'events': counts.events,
        'crowded': counts.crowded,
        'model': options.model,
        'model_sha256': options.model_sha256,
        'version': __version__,
        'fingerprint': recording.fingerprint(options),
    }


def _zones(options: BatchOptions) -> Zones:
    return read_zones(options.zones or share_file('config/zones.yaml'), options.drive)
