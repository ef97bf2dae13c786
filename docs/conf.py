"""The documentation as a site: `make docs`, which lets every warning of Sphinx fail.

Sphinx, as docs.ros.org has it, with Markdown by MyST, so that the pages read the same in the
repository. Beside Sphinx's own warnings (broken links and anchors, pages outside of the navigation)
a public name without a docstring is one.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from headpose_ros import __version__  # noqa: E402 - from these sources

project = 'headpose_ros'
author = 'headpose_ros maintainers'
version = release = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
myst_heading_anchors = 4  # as repositories number their headings
suppress_warnings = ['myst.header']  # generated tables begin below a title
nitpicky = True
# Names of other projects are not looked up: the site builds without the Internet.
nitpick_ignore_regex = [('py:.*', r'(?!headpose_ros\.).*')]
html_theme = 'sphinx_rtd_theme'
html_theme_options = {'navigation_depth': 3, 'collapse_navigation': True}
html_static_path = ['_static']
html_css_files = ['site.css']
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False

napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # see written_signature

#: Pages elsewhere in the repository that are pages of the site, too.
ROOT_PAGES = {
    'CONTRIBUTING.md': 'contributing',
    'SECURITY.md': 'security',
    'CHANGELOG.md': 'changelog',
    'training/recipes/README.md': 'recipes',
}
_LINK = re.compile(r'(?<!!)\[([^]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)')
_API = re.compile(r'<!-- api: ([\w.]+)(?: (\w+))? -->')
_log = logging.getLogger(__name__)


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Fill in the API and the pages of the root, and lead links to files outside of `docs`."""
    origin = next((file for file, page in ROOT_PAGES.items() if page == name), f'docs/{name}.md')
    if origin in ROOT_PAGES:
        source[0] = (ROOT / origin).read_text(encoding='utf-8')
    source[0] = _LINK.sub(lambda link: _relinked(link, name, origin), source[0])
    source[0] = _API.sub(_api, source[0])


def _relinked(link: re.Match[str], name: str, origin: str) -> str:
    """Return a link as the site has it; plain text where it leads out of the site."""
    text, target, anchor = link[1], link[2], link[3] or ''
    if '://' in target or target.startswith('mailto:'):
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    if path in ROOT_PAGES:
        path = f'docs/{ROOT_PAGES[path]}.md'
    elif not (ROOT / path).exists():
        _log.warning('%s links to %s, which does not exist', origin, target)
    if not path.startswith('docs/'):
        return text
    there = posixpath.relpath(path, posixpath.dirname(f'docs/{name}'))
    return f'[{text}]({there}{anchor})'


def _api(marker: re.Match[str]) -> str:
    """Return the directives for a module, or for one name of it, with its public submodules."""
    module, member = marker[1], marker[2]
    if member:
        return _directive(
            f'{module}.{member}', _kind(getattr(importlib.import_module(module), member))
        )
    package = importlib.import_module(module)
    parts = [_directive(module, 'module')]
    for part in pkgutil.walk_packages(getattr(package, '__path__', []), f'{module}.'):
        inside = part.name.removeprefix(f'{module}.')
        if not inside.startswith('_') and '._' not in inside:
            parts += [f'## {inside}', _directive(part.name, 'module')]
    return '\n\n'.join(parts)


def _kind(value: Any) -> str:
    return 'class' if inspect.isclass(value) else 'function'


def _directive(name: str, kind: str) -> str:
    members = '' if kind == 'function' else '\n   :members:'
    return f'```{{eval-rst}}\n.. auto{kind}:: {name}{members}\n```'


def written_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Return the signature with annotations as the sources have them: NDArray, not its parts."""
    try:
        text = str(inspect.signature(obj))
    except (TypeError, ValueError):
        return None
    text = re.sub(r"(: |-> )'([^']*)'", r'\1\2', text)
    if what == 'method':
        text = re.sub(r'^\((self|cls)(, )?', '(', text)
    head, _, tail = text.partition(') -> ')
    return (f'{head})', '' if what == 'class' else tail) if tail else (text, '')


def plain_comments(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Let comments of attributes be sentences: no type before a colon, no link before STATE_.

    The empty comment in front is what napoleon takes for the type.
    """
    if what in ('attribute', 'data'):
        lines[:] = ['..', '', *(re.sub(r'(?<=\w)_(?!\w)', r'\_', line) for line in lines)]


def report_missing(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Warn of a public name without a docstring."""
    public = not any(part.startswith('_') for part in name.split('.'))
    if what in ('module', 'class', 'function', 'method', 'property') and public and not any(lines):
        _log.warning('%s has no docstring', name)


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.add_lexer('mermaid', TextLexer)  # GitHub draws it, the site shows its text
    app.connect('source-read', read_page)
    app.connect('autodoc-process-signature', written_signature)
    app.connect('autodoc-process-docstring', report_missing)
    app.connect('autodoc-process-docstring', plain_comments, priority=400)  # before napoleon
