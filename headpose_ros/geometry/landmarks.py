"""The iBUG-68 landmark scheme: indices, mirror table, drawing order.

Points are pixels with centres at integers, x right and y down. "Left" and "right" in the group
names are the person's own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

COUNT = 68
SELLION = 27  # bridge of the nose: the origin of the REP-155 face frame
OUTER_EYE_CORNERS = (36, 45)

GROUPS: dict[str, range] = {
    'jaw': range(17),
    'right_brow': range(17, 22),
    'left_brow': range(22, 27),
    'nose_bridge': range(27, 31),
    'nose_base': range(31, 36),
    'right_eye': range(36, 42),
    'left_eye': range(42, 48),
    'outer_lips': range(48, 60),
    'inner_lips': range(60, 68),
}
#: What opens and closes, in the order in which openness is given.
OPENING = ('right_eye', 'left_eye', 'inner_lips')
CLOSED_GROUPS = frozenset({'right_eye', 'left_eye', 'outer_lips', 'inner_lips'})

#: Schemes by name: which points of iBUG-68 a network of that scheme gives, in its order. 3DFAW's
#: 66 points lack the inner corners of the mouth.
SCHEMES: dict[str, tuple[int, ...]] = {
    'ibug68': tuple(range(COUNT)),
    'ibug66': tuple(i for i in range(COUNT) if i not in (60, 64)),
    'none': (),
}
#: The points that `ibug66` lacks: the outer corner beside each, and its neighbours on the inner
#: lips.
_CORNERS = {60: (48, 61, 67), 64: (54, 63, 65)}

_SWAPS = (
    [(i, 16 - i) for i in range(8)]
    + [(17 + i, 26 - i) for i in range(5)]
    + [(31, 35), (32, 34)]
    + [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    + [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58)]
    + [(60, 64), (61, 63), (65, 67)]
)


def _mirror_table() -> NDArray[np.intp]:
    table = np.arange(COUNT)
    for a, b in _SWAPS:
        table[a], table[b] = b, a
    return table


#: (68,) index of each point's partner in the left-right mirrored image; an involution.
MIRROR: NDArray[np.intp] = _mirror_table()


def complete(points: ArrayLike, scheme: str) -> NDArray[np.float64]:
    """Return the (68, D) points of iBUG-68 from the (N, D) points of a scheme.

    An inner corner of the mouth that the scheme lacks is put halfway between the outer corner and
    the middle of its two neighbours on the inner lips.
    """
    chosen = list(SCHEMES[scheme])
    points = np.asarray(points, np.float64)
    full = np.zeros((COUNT, points.shape[1]))
    full[chosen] = points
    for missing in set(range(COUNT)) - set(chosen):
        outer, upper, lower = _CORNERS[missing]
        full[missing] = (full[outer] + (full[upper] + full[lower]) / 2) / 2
    return full


def bounding_box(points: ArrayLike) -> NDArray[np.float64]:
    """Return the (4,) box x, y, w, h in px around (N, 2) points."""
    points = np.asarray(points, np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low, high - low])


def can_judge_openness(visibility: ArrayLike) -> NDArray[np.bool_]:
    """Return whether the right eye, the left eye and the mouth are seen well enough.

    Args:
        visibility: (68,) probability, or truth, of each landmark being seen.

    Returns:
        (3,) bool: more than half of the points of each are seen.
    """
    seen = np.asarray(visibility, np.float64)
    return np.array([seen[list(GROUPS[name])].mean() > 0.5 for name in OPENING])
