"""Imports lead downward, and the drawings of CONTRIBUTING.md are those of the code."""

from __future__ import annotations

import pytest
from layers import LAYERS, PAGE, imports, part, redrawn, strays


def test_every_module_has_a_layer():
    assert not strays(), 'name its layer in test/layers.py'


def test_imports_lead_downward():
    upward = [
        f'{found.file}:{found.line}: {found.importer} imports {found.imported}'
        for found in imports()
        # What belongs to no layer, as `headpose_ros.load` does, is for users of the package.
        if found.imported != '__version__' and not _is_below(found.importer, found.imported)
    ]
    assert not upward, '\n'.join(upward)


def _is_below(importer: str, imported: str) -> bool:
    if not {part(importer), part(imported)} <= set(LAYERS):
        return False
    return LAYERS.index(part(imported)) <= LAYERS.index(part(importer))


@pytest.mark.skipif(bool(strays()), reason='a module has no layer')
def test_the_drawings_are_those_of_the_code():
    page = PAGE.read_text(encoding='utf-8')
    assert redrawn(page) == page, 'make layers draws them anew'
