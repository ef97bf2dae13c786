"""The pages of the documentation, and the commands that stand in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What a reader meets as reference; notes have the words of their day.
REFERENCE = [
    *(
        ROOT / name
        for name in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'training/README.md')
    ),
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'docs' / 'nodes').glob('*.md')),
    *sorted((ROOT / 'docs' / 'api').glob('*.md')),
]
PAGES = [*REFERENCE, *sorted((ROOT / 'docs').glob('*/*.md'))]
PAGES = list(dict.fromkeys(PAGES))

_BLOCK = re.compile(r'^( *)```(\w+)\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r'(?<!`)`([^`\n]+)`(?!`)')


def name(page: Path) -> str:
    """Return the path of a page, for the name of a test."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> Iterator[str]:
    """Yield the content of the fenced blocks of a language."""
    for match in _BLOCK.finditer(page.read_text(encoding='utf-8')):
        if match[2] == language:
            yield match[3]


def inline(page: Path) -> Iterator[str]:
    """Yield what stands in backticks."""
    text = _BLOCK.sub('', page.read_text(encoding='utf-8'))
    yield from _INLINE.findall(text)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command of the sh blocks, a line that goes on as one."""
    for block in blocks(page, 'sh'):
        for line in block.replace('\\\n', ' ').splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index('&&') if '&&' in words else len(words)
                yield words[:end]
                words = words[end + 1 :]
