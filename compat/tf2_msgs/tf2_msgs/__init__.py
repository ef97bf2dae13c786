"""A stand-in with TFMessage alone, which gives way to the real tf2_msgs of a lower environment."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder


def _real() -> list[str]:
    """Return the folders of another tf2_msgs on Python's path: it has actions and services, too."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    others = [folder for folder in sys.path if os.path.abspath(folder or '.') != here]
    spec = PathFinder.find_spec('tf2_msgs', others)
    # A folder without __init__.py, such as a source tree, is none.
    return list(spec.submodule_search_locations or ()) if spec is not None and spec.origin else []


__path__ = _real() or __path__
