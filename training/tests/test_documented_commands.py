"""Every `headpose-train` command of the documentation, parsed by the parser that would run it."""

from __future__ import annotations

import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import auto_cli, capture_parser

from headpose_training.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'test'))
from doc_pages import REFERENCE, commands, inline, name  # noqa: E402 - where the pages are

FOUND = [
    pytest.param(words[1:], id=f'{name(page)}: {" ".join(words[1:])}'[:90])
    for page in REFERENCE
    for words in commands(page)
    if words[0] == 'headpose-train' and words[1] != '--help'
]


@pytest.mark.parametrize('words', FOUND)
def test_the_parser_takes_it(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command, *arguments = words
    monkeypatch.chdir(ROOT / 'training')  # where the pages run it
    parser = capture_parser(lambda: run(command, []))
    # Files of the reader's are not there; how they are named is parsed all the same.
    parser.exit_on_error = False
    parser.parse_args([*prefix(command), *arguments])


def run(command: str, arguments: list[str]) -> Any:
    if command == 'fit':
        return pkgutil.resolve_name('headpose_training.fit:fit')(arguments)
    function = pkgutil.resolve_name(COMMANDS[command])
    return auto_cli(function, args=arguments, as_positional=False)


def prefix(command: str) -> list[str]:
    return ['fit'] if command == 'fit' else []


def test_commands_in_the_text_exist() -> None:
    known = {*COMMANDS, 'fit'}
    for page in REFERENCE:
        for code in inline(page):
            for command in re.findall(r'^headpose-train ([a-z][a-z-]*[a-z])(?= |$)', code):
                assert command in known, f'{name(page)}: {code}'
