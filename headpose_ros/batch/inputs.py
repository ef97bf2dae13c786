"""Which recordings the words of a command mean: files, folders, globs, lists, URLs."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from headpose_ros.batch.options import BatchOptions
from headpose_ros.batch.schema import VERSION
from headpose_ros.errors import HeadposeError
from headpose_ros.extras import needed_by
from headpose_ros.foreign_files import FileError, read_bounded, user_path
from headpose_ros.sources.pictures import IMAGE_EXTENSIONS

BAG, FILM, PICTURES = 'bag', 'film', 'pictures'
_BAGS = ('.mcap', '.db3')
_FILMS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm')
#: What makes a folder one bag.
_METADATA = 'metadata.yaml'
_URL = re.compile(r'[a-z][a-z0-9+.-]*://')
_LONGEST_LIST = 2**28  # bytes


class InputError(HeadposeError):
    """Inputs that mean no recording; the message has the word and what is expected."""


@dataclass(frozen=True)
class Recording:
    """One source: a bag, a film, or the pictures of one folder.

    Attributes:
        uri: Absolute path or URL, of the folder for a bag in a folder and for several pictures.
        kind: `BAG`, `FILM` or `PICTURES`.
        bytes: Its size.
        modified: When it was last written, ns since 1970; 0 for not known.
        files: Names of the pictures within the folder.
    """

    uri: str
    kind: str
    bytes: int
    modified: int
    files: tuple[str, ...] = ()

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return is_url(self.uri)

    @property
    def key(self) -> str:
        """Name of the folder of its tables: readable, and different for every source."""
        name = re.sub(r'[^A-Za-z0-9_.]+', '_', self.uri.rstrip('/').rpartition('/')[2])[:40]
        return f'{name.strip(".") or "source"}-{hashlib.sha256(self.uri.encode()).hexdigest()[:12]}'

    def fingerprint(self, options: BatchOptions) -> str:
        """Return what changes with source, weights or options: tables are then made anew."""
        facts = [self.uri, self.kind, self.bytes, self.modified, self.files, VERSION]
        text = json.dumps([*facts, options.decisive()])
        return hashlib.sha256(text.encode()).hexdigest()


class _File(NamedTuple):
    path: str
    bytes: int
    modified: int

    @property
    def folder(self) -> str:
        return self.path.rpartition('/')[0]

    @property
    def name(self) -> str:
        return self.path.rpartition('/')[2]

    @property
    def ending(self) -> str:
        return os.path.splitext(self.name)[1].lower()


def is_url(text: str) -> bool:
    """Return whether a word is a URL, which fsspec opens, and no path."""
    return _URL.match(text) is not None


def find_recordings(words: Iterable[str]) -> list[Recording]:
    """Return the recordings that words mean, each once, by name.

    Args:
        words: Paths or URLs of files and folders, globs of them (`**` for folders of any depth), or
            `@FILE` for a list with one of these in each line.

    Raises:
        InputError: A word means no recording, or a list cannot be read.
    """
    files: dict[str, _File] = {}
    for word in _unfolded(words):
        found = [file for file in _found(word) if _kind(file) or file.name == _METADATA]
        if not any(_kind(file) for file in found):
            endings = ', '.join((*_BAGS, *_FILMS, *IMAGE_EXTENSIONS))
            raise InputError(f'no recording at {word}: expected files ending in {endings}')
        files.update((file.path, file) for file in found)
    return sorted(_recordings(list(files.values())), key=lambda recording: recording.uri)


def _unfolded(words: Iterable[str]) -> Iterator[str]:
    """Yield words, and the lines of lists among them."""
    for word in words:
        if not word.startswith('@'):
            yield word
            continue
        try:
            text = read_bounded(user_path(word[1:]), _LONGEST_LIST).decode()
        except (FileError, UnicodeDecodeError) as error:
            raise InputError(f'cannot read the list {word[1:]}: {error}') from error
        yield from (line.strip() for line in text.splitlines() if line.strip())


def _found(word: str) -> list[_File]:
    """Return the files that a word means, those below folders included."""
    if is_url(word):
        return _remote(word)
    try:
        path = str(user_path(word))
    except FileError as error:
        raise InputError(f'{word}: {error}') from error
    named = [path] if os.path.lexists(path) else sorted(glob.glob(path, recursive=True))
    if not named:
        raise InputError(f'nothing is at {word}: expected a file, a folder, a glob or a URL')
    return [_local(file) for name in named for file in _below(os.path.abspath(name))]


def _below(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names))


def _local(path: str) -> _File:
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f'cannot read {path}: {error.strerror}') from error
    return _File(path, status.st_size, status.st_mtime_ns)


def _remote(url: str) -> list[_File]:
    """Return the files of a URL."""
    files, path = filesystem(url)
    try:
        named = sorted(files.glob(path)) if glob.has_magic(path) else [path]
        found = [entry for name in named for entry in files.find(name, detail=True).items()]
    except Exception as error:  # every file system has errors of its own
        raise InputError(f'cannot list {url}: {error}') from error
    return [
        _File(files.unstrip_protocol(name), int(info.get('size') or 0), _modified(info))
        for name, info in sorted(found)
    ]


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path within.

    Raises:
        InputError: There is none for it.
    """
    with needed_by(f'reading {url}'):
        import fsspec
    try:
        files, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # a package for this protocol is missing
        raise InputError(f'cannot open {url}: {error}') from error
    return files, path


def _modified(info: dict[str, Any]) -> int:
    """Return when a file was written, ns: file systems name and give it differently."""
    for name in ('mtime', 'LastModified', 'last_modified', 'updated', 'created'):
        value = info.get(name)
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return int(value * 1e9)
    return 0


def _kind(file: _File) -> str:
    if file.ending in _BAGS:
        return BAG
    if file.ending in _FILMS:
        return FILM
    return PICTURES if file.ending in IMAGE_EXTENSIONS else ''


def _recordings(files: list[_File]) -> Iterator[Recording]:
    """Put files together: bags in folders, and the pictures of each folder."""
    bags = {f.folder for f in files if f.name == _METADATA} & {
        f.folder for f in files if f.ending in _BAGS
    }
    pictures: dict[str, list[_File]] = {}
    for file in files:
        kind = _kind(file)
        if file.folder in bags or not kind:
            continue
        if kind == PICTURES:
            pictures.setdefault(file.folder, []).append(file)
        else:
            yield Recording(file.path, kind, file.bytes, file.modified)
    for folder in bags:
        yield _together(folder, BAG, [f for f in files if f.folder == folder])
    for folder, found in pictures.items():
        yield _together(folder, PICTURES, sorted(found, key=lambda file: _natural(file.name)))


def _together(folder: str, kind: str, files: list[_File]) -> Recording:
    names = tuple(file.name for file in files) if kind == PICTURES else ()
    total, last = sum(f.bytes for f in files), max(f.modified for f in files)
    return Recording(folder, kind, total, last, names)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that compares runs of digits as numbers."""
    parts = re.split(r'(\d+)', name.lower())
    return [(int(part), '') if part.isdecimal() else (-1, part) for part in parts]


def local_path(recording: Recording, folder: Path) -> Path:
    """Return where a recording lies on this machine; one behind a URL is fetched into a folder.

    Raises:
        InputError: It cannot be fetched.
    """
    if not recording.is_remote:
        return Path(recording.uri)
    files, path = filesystem(recording.uri)
    here = folder / (path.rstrip('/').rpartition('/')[2] or 'recording')
    try:
        if recording.files:
            here.mkdir()
            for name in recording.files:
                files.get_file(f'{path}/{name}', str(here / name))
        elif files.isdir(path):
            here.mkdir()
            for name in files.find(path):
                files.get_file(name, str(here / name.rpartition('/')[2]))
        else:
            files.get_file(path, str(here))
    except Exception as error:  # every file system has errors of its own
        raise InputError(f'cannot fetch {recording.uri}: {error}') from error
    return here
