"""Bags of others: opened and read so that damage is one error, and foreign topics do no harm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapReader, Schema
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from headpose_ros.errors import HeadposeError

#: Languages of message definitions that rosbags reads; any other ends it with a KeyError.
_LANGUAGES = frozenset({'', 'ros2msg', 'ros2idl', 'omgidl'})
#: What SQLite, which rosbags gives URIs, would not take for a character of a path.
_ESCAPED = '%?#'

Message = tuple[Connection, int, bytes]


class RecordingError(HeadposeError):
    """A bag that cannot be read, or lacks what is wanted of it; the message has which and why."""


class Recording:
    """A bag that is open for reading; to be used in a `with` block.

    Args:
        path: A folder with metadata.yaml, or a single .mcap or .db3 file.

    Attributes:
        connections: Its topics. Where their types are in a language that cannot be read (JSON,
            Protocol Buffers), the definition is empty.
        message_count: Of all topics.
        seconds: From the first to the last message.
        start: Time of the first message, ns; 0 without one.

    Raises:
        RecordingError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _damage(path):
            self._reader = _Reader(SqlitePath(path))
            self._reader.open()
            self.connections = list(self._reader.connections)
            self.message_count = self._reader.message_count
            self.seconds = self._reader.duration * 1e-9
            self.start = self._reader.start_time if self.message_count else 0

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def messages(self, connections: Iterable[Connection] = ()) -> Iterator[Message]:
        """Yield connection, time in ns and bytes of the messages of some topics; none: of all.

        Raises:
            RecordingError: The bag is damaged here.
        """
        with _damage(self._path):
            found = self._reader.messages(list(connections))
        while True:
            with _damage(self._path):
                message = next(found, None)
            if message is None:
                return
            yield message


class SqlitePath(type(Path())):  # type: ignore[misc]
    """A path that means itself in the URIs that rosbags makes for SQLite, whatever it contains."""

    def __format__(self, spec: str) -> str:
        # Only the URIs are formatted; everything else takes the path as it is.
        return ''.join(quote(c) if c in _ESCAPED else c for c in str(self)).__format__(spec)


class _Schemas(dict[int, Schema]):
    """Schemas by number; those in foreign languages are without a text."""

    def __setitem__(self, number: int, schema: Schema) -> None:
        known = schema.encoding in _LANGUAGES
        super().__setitem__(number, schema if known else schema._replace(encoding='', data=''))


class _McapReader(McapReader):
    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self.schemas = _Schemas()


class _DirectoryReader(DirectoryReader):
    STORAGE_PLUGINS = {'mcap': _McapReader, 'sqlite3': Sqlite3Reader}  # noqa: RUF012


class _Reader(Reader):
    STORAGE_PLUGINS = {  # noqa: RUF012
        'dir': _DirectoryReader,
        '.mcap': _McapReader,
        '.db3': Sqlite3Reader,
    }


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside rosbags into a RecordingError.

    Its parsers take the bytes as they come: a damaged bag ends in a struct.error, an IndexError, a
    MemoryError or any other error.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise RecordingError(f'no such bag: {path}') from error
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        hint = ''
        if 'end magic' in reason or 'metadata' in reason:
            hint = '; what a killed recorder left is mended by "mcap recover" or "ros2 bag reindex"'
        raise RecordingError(f'cannot read {path}: {reason[:300]}{hint}') from error
