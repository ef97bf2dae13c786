"""Small tables for the terminal, without another package."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return lines with aligned columns.

    Args:
        rows: Cells, of equally many columns; the first row is the heading. The first column is
            aligned to the left, as is the last, which may be long; the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    middle = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
    return '  '.join([row[0].ljust(widths[0]), *middle, row[-1]]).rstrip()
