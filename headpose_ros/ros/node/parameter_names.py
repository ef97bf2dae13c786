"""Names that parameters had in the previous release: still accepted, with a warning. Needs no ROS.

A renamed parameter states its `former` name. One that is gone stands in the mapping `REMOVED` of
the dataclass that had it, with what replaces it:

    REMOVED: ClassVar[Mapping[str, str]] = {'publish_markers': 'subscribing is enough'}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class ParameterNames:
    """Replaces former names by present ones, with one warning for each.

    Args:
        present: Present names by former ones.
        removed: What replaces the parameters that are gone, by their names.
        warn: Called with each warning.
    """

    def __init__(
        self,
        present: Mapping[str, str] | None = None,
        removed: Mapping[str, str] | None = None,
        warn: Callable[[str], object] = print,
    ) -> None:
        self._present, self._removed = dict(present or {}), dict(removed or {})
        self._warn = warn
        self._warned: set[str] = set()

    @property
    def removed(self) -> tuple[str, ...]:
        """Names of the parameters that are gone."""
        return tuple(self._removed)

    def now(self, name: str, given: Collection[str]) -> str:
        """Return the present name of a parameter; empty where it must be left aside.

        Args:
            name: What was given.
            given: All names that were given together: a present name beats its former one.
        """
        if name in self._removed:
            self._warn_once(name, f'parameter {name} has no effect: {self._removed[name]}')
            return ''
        if name not in self._present:
            return name
        present = self._present[name]
        if present in given:
            text = f'parameters {name} and {present} are both set: {present} counts, {name} is its'
            self._warn_once(f'{name} {present}', f'{text} former name')
            return ''
        self._warn_once(
            name, f'parameter {name} is called {present} now; {name} goes with the next release'
        )
        return present

    def renamed(self, parameters: Iterable[Any], make: Callable[[str, Any], Any]) -> list[Any]:
        """Return parameters under their present names, without those to be left aside.

        Args:
            parameters: Objects with a `name`.
            make: Returns a parameter of another name.
        """
        listed = list(parameters)
        given = {item.name for item in listed}
        names = [self.now(item.name, given) for item in listed]
        return [
            item if name == item.name else make(name, item)
            for name, item in zip(names, listed, strict=True)
            if name
        ]

    def _warn_once(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self._warn(text)


def unknown(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with a name that no parameter has, with the nearest one that is there.

    Args:
        name: What was given.
        known: Names of the parameters.
    """
    # `retian` is near `tracking.retain`, too.
    near = {full.rpartition('.')[2]: full for full in known} | {full: full for full in known}
    found = get_close_matches(name, near, 1) or get_close_matches(name.rpartition('.')[2], near, 1)
    advice = f'did you mean {near[found[0]]}?' if found else f'expected one of {", ".join(known)}'
    return f'no parameter {name!r}: {advice}'
