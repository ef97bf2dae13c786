"""The folder of the tables: what is finished, and how results get there whole or not at all.

OUT/recordings/KEY/*.parquet   tables of one source; the folder appears by one rename
OUT/summary.parquet            one row for each of them
OUT/failed.parquet             the sources of the last run that could not be read
OUT/.parts/KEY-STATE/N         parts of a film that waits to be joined; they outlive a run
OUT/.aside/                    what is being written; gone when no run is under way
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from headpose_ros.batch.inputs import Recording
from headpose_ros.batch.options import BatchOptions
from headpose_ros.batch.tables import read_rows, write_table
from headpose_ros.errors import HeadposeError
from headpose_ros.files import OutputError, make_folder

_HINT = 'make room or mend it, then give the same command again: what is finished is kept'


class Folder:
    """A folder of tables, on a disk that all workers share.

    Args:
        path: Of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recordings = path / 'recordings'
        self._parts = path / '.parts'
        self._aside = path / '.aside'

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Make the folder, and keep other runs out of it within the context.

        Raises:
            OutputError: It cannot be made, or another run writes to it.
        """
        make_folder(self.path)
        with (self.path / '.lock').open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutputError(
                    f'another run writes to {self.path}: wait for its end, or choose another folder'
                ) from error
            shutil.rmtree(self._aside, ignore_errors=True)
            for folder in (self.recordings, self._parts, self._aside):
                make_folder(folder)
            try:
                yield
            finally:  # killed workers leave what they were writing
                shutil.rmtree(self._aside, ignore_errors=True)

    @contextmanager
    def aside(self) -> Iterator[Path]:
        """Give a folder to write into; what is left of it is removed.

        Raises:
            OutputError: It cannot be made.
        """
        folder = self._aside / uuid.uuid4().hex
        try:
            make_folder(folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def tables(self, recording: Recording) -> Path:
        """Return where the tables of a source are, once it is finished."""
        return self.recordings / recording.key

    def is_finished(self, recording: Recording, options: BatchOptions) -> bool:
        """Return whether there are tables of a source as it is now, by these weights."""
        try:
            rows = list(read_rows(self.tables(recording) / 'summary.parquet'))
        except HeadposeError:
            return False
        return [row['fingerprint'] for row in rows] == [recording.fingerprint(options)]

    def publish(self, recording: Recording, options: BatchOptions, tables: Path) -> None:
        """Let tables appear, all at once; those of an earlier state of the source go.

        A worker that was given up and went on may be there first: its tables are the same.

        Raises:
            OutputError: They cannot appear there.
        """
        place = self.tables(recording)
        for _ in range(2):
            with suppress(OSError):
                tables.rename(place)
                return
            if self.is_finished(recording, options):
                return
            # There is no exchange of folders by one rename: for a moment there is none.
            with suppress(FileNotFoundError):
                place.rename(tables.parent / f'former-{uuid.uuid4().hex}')
        raise OutputError(f'cannot rename {tables} to {place}; {_HINT}')

    def part(self, recording: Recording, options: BatchOptions, number: int) -> Path:
        """Return where a part of a film is, once it is finished."""
        return self._parts_of(recording, options) / f'{number:05}'

    def publish_part(
        self, recording: Recording, options: BatchOptions, number: int, tables: Path
    ) -> None:
        """Let a part of a film appear; one that is there already is the same.

        Raises:
            OutputError: It cannot appear there.
        """
        place = self.part(recording, options, number)
        make_folder(place.parent)
        with suppress(OSError):
            tables.rename(place)
        if not place.is_dir():
            raise OutputError(f'cannot rename {tables} to {place}; {_HINT}')

    def remove_parts(self, recording: Recording) -> None:
        """Remove the parts of a film, those of its earlier states too."""
        for folder in self._parts.glob(f'{recording.key}-*'):
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write `summary` or `failed`.

        Raises:
            OutputError: It cannot be written.
        """
        with self.aside() as folder:
            file = folder / f'{name}.parquet'
            write_table(file, name, rows)
            file.rename(self.path / file.name)

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table over all finished sources, by name."""
        for folder in sorted(self.recordings.glob('[!.]*')):
            yield from read_rows(folder / f'{table}.parquet')

    def _parts_of(self, recording: Recording, options: BatchOptions) -> Path:
        state = f'{recording.fingerprint(options)[:12]}-{options.split:g}'
        return self._parts / f'{recording.key}-{state}'


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(entry.stat().st_size for entry in os.scandir(folder))
