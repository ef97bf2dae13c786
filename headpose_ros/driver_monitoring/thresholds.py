"""What the thresholds of all parts share: sources of defaults, and a check of their order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from headpose_ros.parameter import ParameterProblem

NHTSA = 'NHTSA visual-manual driver distraction guidelines, 78 FR 24817 (2013)'
EURO_NCAP = 'Euro NCAP Safe Driving v10.4 (2024)'
ATTEND = 'AttenD, Kircher and Ahlström (2009)'
PERCLOS = 'Wierwille et al., DOT HS 808 247 (1994); Dinges and Grace, FHWA-MCRT-98-006 (1998)'
BLINKS = 'Stern, Walrath and Goldstein (1984)'
OURS = 'ours, see docs/nodes/driver.md'


def check_ascending(options: Any, *names: str) -> None:
    """Check that thresholds rise.

    Args:
        options: What holds them.
        *names: Theirs; none may be above the next one.

    Raises:
        ParameterProblem: One is.
    """
    for low, high in pairwise(names):
        least, most = getattr(options, low), getattr(options, high)
        if least > most:
            raise ParameterProblem(
                f'parameter {low} is {least}: expected at most {high}, which is {most}'
            )
