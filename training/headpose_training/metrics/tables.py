"""Markdown and JSON files of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, an empty line at its end."""
    lines = [header, ['---'] * len(header), *rows]
    return [*(f'| {" | ".join(line)} |' for line in lines), '']


def cell(measured: Mapping[str, Any] | None) -> str:
    """Return a measure with its interval, such as `3.67 (3.46 to 3.90)`; a dash for None."""
    if measured is None:
        return '-'
    value, interval = f'{measured["value"]:.2f}', measured['interval']
    return value if interval is None else f'{value} ({interval[0]:.2f} to {interval[1]:.2f})'


def write_report(folder: Path, name: str, content: Mapping[str, Any], lines: Sequence[str]) -> None:
    """Write `<name>.json` and `<name>.md` into a folder, which is made; show the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = '\n'.join(lines).rstrip() + '\n'
    (folder / f'{name}.json').write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    (folder / f'{name}.md').write_text(text, encoding='utf-8')
    Console().print(Markdown(text))
