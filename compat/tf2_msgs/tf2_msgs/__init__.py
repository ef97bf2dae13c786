"""A stand-in with TFMessage alone, which gives way to the real tf2_msgs of a lower environment."""

from __future__ import annotations

import ctypes
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


def _has_libraries() -> bool:
    """Whether the loader finds the libraries of the real one, which have the names of ours."""
    try:
        library = ctypes.CDLL('libtf2_msgs__rosidl_generator_c.so')
    except OSError:
        return False
    return hasattr(library, 'tf2_msgs__msg__TF2Error__init')


_real_path = _real()
if _real_path and _has_libraries():
    __path__ = _real_path
