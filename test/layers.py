"""Reads layers and calls from the sources of headpose_ros, and draws them.

Usage: layers.py; writes the drawings into CONTRIBUTING.md, between their markers (`make layers`).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'headpose_ros'
PAGE = ROOT / 'CONTRIBUTING.md'

#: Modules that import nothing of the package but each other.
GROUND = (
    *('confined', 'environment', 'errors', 'extras', 'files', 'foreign_files', 'parameter'),
    *('terminal', 'yaml_files'),
)
#: From the bottom: each imports from those before it only. `msg` and `srv` are generated.
LAYERS = (
    *('ground', 'geometry', 'models', 'sources', 'perception', 'driver_monitoring', 'people'),
    *('msg', 'srv', 'ros', 'nodes', 'tools', 'batch', 'demo', 'cli', 'launch_arguments'),
)
#: The way of a frame: these functions, and what of the package each of them calls.
WAY = (
    ('nodes.pose', 'PoseNode._take_image'),
    ('nodes.pose', 'PoseNode._work_on'),
    ('nodes.pose', 'PoseNode._decoded'),
    ('nodes.pose', 'PoseNode._analysed'),
    ('perception.analyze', 'Analyzer.track_together'),
    ('perception.analyze', 'Analyzer._detect'),
    ('perception.analyze', 'Analyzer._infer'),
    ('nodes.pose', 'PoseNode._publish'),
    ('ros.output.face_publisher', 'FacePublisher.publish'),
)


@dataclass(frozen=True)
class Import:
    """A module of the package, and what it imports: dotted names below the package."""

    file: str
    line: int
    importer: str
    imported: str


def imports() -> list[Import]:
    """All imports of the package by its own modules, those within functions too."""
    return [found for module, tree in _modules().items() for found in _imports(module, tree)]


def part(name: str) -> str:
    """The layer of a dotted name below the package."""
    first = name.split('.')[0]
    return 'ground' if first in GROUND else first


def strays() -> list[str]:
    """Modules at the top of the package that no layer holds."""
    return sorted({part(name) for name in _modules()} - set(LAYERS))


def drawings() -> dict[str, str]:
    """Mermaid text by the name of its markers."""
    return {'layers': _layers(), 'frame': _way()}


def redrawn(page: str) -> str:
    """The page with the drawings of now."""
    for name, text in drawings().items():
        begin, end = f'<!-- {name}: made by make layers -->\n', f'<!-- end of {name} -->'
        pattern = re.compile(f'(?<={re.escape(begin)}).*?(?={re.escape(end)})', re.DOTALL)
        page, count = pattern.subn(lambda _, text=text: f'```mermaid\n{text}\n```\n', page)
        assert count == 1, f'CONTRIBUTING.md has no markers of {name}'
    return page


@cache
def _modules() -> dict[str, ast.Module]:
    """The modules by their dotted names below the package, which is itself left out."""
    found = {}
    for file in sorted((ROOT / PACKAGE).rglob('*.py')):
        name = '.'.join(file.relative_to(ROOT / PACKAGE).with_suffix('').parts)
        found[name.removesuffix('__init__').removesuffix('.')] = ast.parse(file.read_text('utf-8'))
    del found['']
    return found


def _file(module: str) -> Path:
    path = ROOT / PACKAGE / module.replace('.', '/')
    return path / '__init__.py' if path.is_dir() else path.with_suffix('.py')


def _imports(module: str, tree: ast.Module) -> Iterator[Import]:
    file = str(_file(module).relative_to(ROOT))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{file}:{node.lineno}: relative import'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            if name.split('.')[0] == PACKAGE:
                yield Import(file, node.lineno, module, name.removeprefix(PACKAGE).strip('.'))


def _sentence(node: ast.AST) -> str:
    """The first sentence of a docstring, without what Mermaid reads as its own."""
    text = re.split(r'\.(?:\s|$)', ast.get_docstring(node) or '')[0]
    return re.sub(r':\w+:|[`"]', '', text).replace('\n', ' ')


def _layers() -> str:
    uses: dict[str, set[str]] = {layer: set() for layer in LAYERS if layer not in ('msg', 'srv')}
    for found in imports():
        uses[part(found.importer)] |= {part(found.imported)} & uses.keys()
    lines = ['flowchart TD']
    for layer in reversed(uses):
        about = ', '.join(GROUND) if layer == 'ground' else _sentence(_modules()[layer])
        lines.append(f'  {layer}["<b>{layer}</b><br/>{about}"]')
    for layer in reversed(uses):
        lines += [f'  {layer} --> {below}' for below in _directly(layer, uses)]
    return '\n'.join(lines)


def _directly(layer: str, uses: dict[str, set[str]]) -> list[str]:
    """What a layer imports and does not reach through another one that it imports."""
    direct = uses[layer] - {layer}
    through = set().union(*(_reached(other, uses) for other in direct))
    return [below for below in reversed(LAYERS) if below in direct - through]


def _reached(layer: str, uses: dict[str, set[str]]) -> set[str]:
    direct = uses[layer] - {layer}
    return direct.union(*(_reached(below, uses) for below in direct))


@dataclass(frozen=True)
class _Function:
    module: str
    name: str

    @property
    def node(self) -> ast.FunctionDef:
        body = _modules()[self.module].body
        *owner, name = self.name.split('.')
        for outer in owner:
            body = next(n for n in body if isinstance(n, ast.ClassDef) and n.name == outer).body
        return next(n for n in body if isinstance(n, ast.FunctionDef) and n.name == name)

    @property
    def label(self) -> str:
        return f'<b>{self.name}</b><br/>{_sentence(self.node)}'


def _way() -> str:
    """One box for each function of the way, with the functions that it calls in their order."""
    lines, last = ['flowchart TD'], ''
    for number, step in enumerate(_Function(*names) for names in WAY):
        file = _file(step.module).relative_to(ROOT / PACKAGE)
        lines.append(f'  subgraph s{number}["{step.name} in {file}"]')
        lines.append('    direction TB')
        for index, called in enumerate(_called(step)):
            box = f's{number}c{index}'
            lines.append(f'    {box}["{called.label}"]')
            lines += [f'    {last} --> {box}'] if index else []
            last = box
        lines.append('  end')
        lines += [f'  s{number - 1} --> s{number}'] if number else []
    return '\n'.join(lines)


def _called(function: _Function) -> list[_Function]:
    """The functions of the package that one calls, each once, as they stand in its text."""
    known = _known(function.module)
    calls = [node for node in _on_the_way(function.node) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.end_lineno, call.end_col_offset))
    found = [callee for call in calls if (callee := _callee(call.func, known))]
    return [callee for callee in dict.fromkeys(found) if _sentence(callee.node)]


def _on_the_way(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those in it, but for barriers (`with`) and for branches that end the function."""
    yield node
    if isinstance(node, ast.withitem):
        return
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Return):
        inner = [node.test, *node.orelse]
    else:
        inner = list(ast.iter_child_nodes(node))
    for child in inner:
        yield from _on_the_way(child)


def _callee(called: ast.expr, known: dict[str, list[_Function]]) -> _Function | None:
    """The function that is called; of methods of one name that of the class named as the object."""
    if isinstance(called, ast.Name):
        found = known.get(called.id, [])
    elif isinstance(called, ast.Attribute):
        found = known.get(called.attr, [])
        if len(found) > 1:
            owner = ast.unparse(called.value).rpartition('.')[2].replace('_', '')
            found = [f for f in found if f.name.split('.')[0].lower().endswith(owner)]
    else:
        found = []
    return found[0] if len(found) == 1 else None


def _known(module: str) -> dict[str, list[_Function]]:
    """Functions and methods that a module can call, by the last part of their names."""
    known: dict[str, list[_Function]] = {}
    for home, member in map(_origin, _names(module)):
        for node in _modules()[home].body if home in _modules() else ():
            if getattr(node, 'name', None) != member:
                continue
            if isinstance(node, ast.FunctionDef):
                known.setdefault(member, []).append(_Function(home, member))
            if isinstance(node, ast.ClassDef):
                for method in (n for n in node.body if isinstance(n, ast.FunctionDef)):
                    found = _Function(home, f'{member}.{method.name}')
                    known.setdefault(method.name, []).append(found)
    return known


def _origin(name: str) -> tuple[str, str]:
    """The module that defines a dotted name, and the name there: a package may hand it on."""
    home, _, member = name.rpartition('.')
    if home in _modules():
        for found in _imports(home, _modules()[home]):
            if found.imported.rpartition('.')[2] == member:
                return _origin(found.imported)
    return home, member


def _names(module: str) -> list[str]:
    """Dotted names of what a module defines and imports from the package."""
    tree = _modules()[module]
    own = [f'{module}.{n.name}' for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return own + [found.imported for found in _imports(module, tree)]


if __name__ == '__main__':
    assert not sys.argv[1:], __doc__
    PAGE.write_text(redrawn(PAGE.read_text('utf-8')), 'utf-8')
