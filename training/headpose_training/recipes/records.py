"""What is remembered of a stage beside its output: options, times, and whether it ended."""

from __future__ import annotations

import json
import shutil
import time
from enum import Enum
from pathlib import Path
from typing import Any

from headpose_training.errors import TrainingError
from headpose_training.recipes.options import flat
from headpose_training.recipes.stage import Stage

_HOUR = 3600.0


class State(Enum):
    """How far a stage is."""

    DONE = 'done'
    BEGUN = 'begun'
    TO_DO = 'to do'
    CHANGED = 'changed'


class Record:
    """The record of a stage, a file beside its output.

    Args:
        stage: The stage; it need not have run.

    Raises:
        TrainingError: The record is damaged.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._file = stage.output.parent / f'{stage.key.rpartition(".")[2]}.record.json'
        self._content: dict[str, Any] | None = None
        if self._file.is_file():
            try:
                self._content = dict(json.loads(self._file.read_text(encoding='utf-8')))
            except (OSError, ValueError) as error:
                raise TrainingError(f'{self._file} is damaged: {error}; remove it') from error

    @property
    def state(self) -> State:
        """How far the stage is, by record and output."""
        if self._content is None or not self._stage.output.exists():
            return State.TO_DO
        if self._content['identity'] != self._stage.identity:
            return State.CHANGED
        done = self._content['done'] and self._stage.is_complete
        return State.DONE if done else State.BEGUN

    @property
    def changes(self) -> list[str]:
        """Which options are others than they were, a text each."""
        before = dict(flat(self._content['identity'])) if self._content else {}
        now = dict(flat(self._stage.identity))
        return [
            f'{name} was {_shown(before, name)}, is {_shown(now, name)}'
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        ]

    @property
    def hours(self) -> float:
        """How long the stage took in all, hours."""
        attempts = self._content['attempts'] if self._content else []
        return float(sum(end - start for start, end in attempts if end is not None)) / _HOUR

    def begin(self) -> None:
        """Note that the stage runs now; remove what it left with other options."""
        content, state = self._content, self.state
        if state is State.CHANGED:
            _remove(self._stage.output)
        if content is None or state is not State.BEGUN:
            content = {'identity': self._stage.identity, 'attempts': []}
        _end_killed(content['attempts'], self._stage.output)
        content['attempts'].append([time.time(), None])
        self._write(content | {'done': False})

    def end(self, done: bool) -> None:
        """Note that the stage ended, and whether it is done."""
        assert self._content is not None
        self._content['attempts'][-1][1] = time.time()
        self._write(self._content | {'done': done})

    def _write(self, content: dict[str, Any]) -> None:
        self._content = content
        part = self._file.with_suffix('.part')
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
            part.rename(self._file)
        except OSError as error:
            raise TrainingError(f'cannot write {self._file}: {error.strerror}') from error


def _shown(options: dict[str, Any], name: str) -> str:
    return repr(options[name]) if name in options else 'not given'


def _end_killed(attempts: list[list[float | None]], output: Path) -> None:
    """End the last attempt, where it was killed, with the last file that it left."""
    if attempts and attempts[-1][1] is None:
        files = [file for file in (output, *output.rglob('*')) if file.exists()]
        newest = max((file.stat().st_mtime for file in files), default=0.0)
        attempts[-1][1] = max(newest, attempts[-1][0] or 0.0)


def _remove(output: Path) -> None:
    if output.is_dir():
        shutil.rmtree(output)
    else:
        output.unlink()
