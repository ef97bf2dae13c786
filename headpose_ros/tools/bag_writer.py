"""Write a bag so that what was written stays readable, whatever ends the process."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2, Qos
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.storage_mcap import McapWriter, PendingChunk
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer

from headpose_ros.errors import HeadposeError
from headpose_ros.tools.recording import SqlitePath

_FAILURES = (OSError, sqlite3.Error, WriterError)
#: SQLite takes back what was not committed when a process is killed; seconds.
_COMMIT_EVERY = 1.0
_PARTS = frozenset({'.mcap', '.db3', '.yaml', '.zstd', '.db3-journal', '.db3-wal', '.db3-shm'})


class BagError(HeadposeError):
    """A bag that has no usable images or cannot be written; the message has which and why."""


class BagWriter:
    """A bag that is written message by message.

    A killed process leaves an MCAP file with all chunks but the last (1 MiB), and an SQLite file
    with all messages but those of the last second. A full disk leaves a complete bag of what fits.

    Args:
        path: Folder to write.
        storage: Its storage.

    Raises:
        BagError: It exists or cannot be written.
    """

    def __init__(self, path: Path, storage: StoragePlugin) -> None:
        self._path = path
        self._failed = False
        try:
            self._writer = Writer(path, version=8, storage_plugin=storage)
            self._writer.path = SqlitePath(path)
            self._writer.open()
        except _FAILURES as error:
            raise BagError(f'cannot write {path}: {_reason(error)}') from error
        self._kept = self._size
        self._counts: dict[int, int] = {}
        self._committed = time.monotonic()

    def add(
        self,
        topic: str,
        kind: str,
        definition: str,
        digest: str,
        profiles: Sequence[Qos],
        serialization: str = 'cdr',
    ) -> Connection:
        """Add a topic; the same one again, as in merged recordings, is the one that is there.

        Args:
            topic: Its name.
            kind: Full name of its type.
            definition: Of the type.
            digest: RIHS01 hash of the type.
            profiles: QoS that its publishers offered.
            serialization: How its messages are serialised.

        Raises:
            BagError: It cannot be written.
        """
        extra = ConnectionExtRosbag2(serialization, list(profiles))
        for known in self._writer.connections:
            if (known.topic, known.msgtype, known.ext) == (topic, kind, extra):
                return known
        with self._storing():
            return self._writer.add_connection(
                topic,
                kind,
                msgdef=definition,
                rihs01=digest,
                serialization_format=serialization,
                offered_qos_profiles=profiles,
            )

    def write(self, connection: Connection, stamp: int, data: bytes | memoryview) -> None:
        """Write a message at a time in ns.

        Raises:
            BagError: It cannot be written; the bag is then closed and holds what came before.
        """
        with self._storing():
            self._writer.write(connection, stamp, data)
            self._keep()

    def close(self) -> None:
        """Write index and metadata.

        Raises:
            BagError: They cannot be written.
        """
        if not self._failed:
            with self._storing():
                self._writer.close()

    @property
    def _size(self) -> int:
        """Bytes that are handed to the file so far."""
        storage = self._writer.storage
        return storage.bio.tell() if isinstance(storage, McapWriter) else 0

    def _keep(self) -> None:
        """Put what was written beyond the reach of a kill."""
        storage = self._writer.storage
        if isinstance(storage, McapWriter):
            if self._size != self._kept:  # a chunk is full
                storage.bio.flush()
                self._kept = self._size
        elif isinstance(storage, Sqlite3Writer):
            if time.monotonic() - self._committed < _COMMIT_EVERY:
                return
            storage.conn.commit()
            self._committed = time.monotonic()
            self._counts = dict(self._writer.counts)

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            self._failed = True
            with suppress(*_FAILURES):
                self._take_back()
                self._writer.close()
            raise BagError(
                f'cannot write {self._path}: {_reason(error)}; it holds the beginning'
            ) from error

    def _take_back(self) -> None:
        """Remove what was written in part."""
        writer, storage = self._writer, self._writer.storage
        if isinstance(storage, McapWriter):
            # What waits in its buffer belongs to the broken chunk: it must not be flushed.
            storage.bio.raw.close()
            os.truncate(storage.path, self._kept)
            storage.bio = storage.path.open('ab')
            for number, messages in storage.chunk.msgs.items():
                storage.channel_stats[number] -= len(messages)
            writer.counts = dict(storage.channel_stats)
            storage.chunk = PendingChunk(2**63 - 1, 0, BytesIO(), defaultdict(list))
        elif isinstance(storage, Sqlite3Writer):
            storage.conn.rollback()
            writer.counts = {c.id: self._counts.get(c.id, 0) for c in writer.connections}


def remove_bag(folder: Path) -> None:
    """Remove a bag, and nothing that is none.

    Raises:
        BagError: The folder holds something else, or cannot be removed.
    """
    if not folder.exists():
        return
    try:
        files = sorted(folder.iterdir())
        strange = [file.name for file in files if file.suffix not in _PARTS or file.is_dir()]
        if strange:
            raise BagError(f'{folder} is not overwritten: {strange[0]} in it is no part of a bag')
        for file in files:
            file.unlink()
        folder.rmdir()
    except OSError as error:
        raise BagError(f'cannot overwrite {folder}: {error.strerror}') from error


def _reason(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error)
