"""How large faces are: what turns a fit of the mean face into metres."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE
from headpose_ros.perception.depth import DepthImage, measured_size
from headpose_ros.perception.faces import Face
from headpose_ros.perception.metric import position_covariance

#: Spread of adult face sizes about the mean (inter-pupillary distance 63 +- 3.6 mm, ANSUR II):
#: the distance inherits this relative error.
_ADULT_SPREAD = 0.057
#: Relative error of a distance from depth, and from the size that depth gave earlier: noise of the
#: sensor, and of the landmarks.
_DEPTH_SPREAD, _REMEMBERED_SPREAD = 0.01, 0.02
#: A remembered size follows the measured ones by this share of the difference.
_FOLLOWING = 0.2


class FaceSizes:
    """Gives faces their size: measured with depth, measured earlier, or assumed.

    Attributes:
        assumed: Distance between the pupils of people whose size was never measured, metres.
    """

    def __init__(self, assumed: float = INTERPUPILLARY_DISTANCE) -> None:
        self.assumed = assumed
        self._measured: dict[str, float] = {}

    def apply(self, face: Face, depth: DepthImage | None) -> Face:
        """Return the face at its distance in metres; unchanged where its place is unknown.

        Args:
            face: At the place where the mean adult face fits its landmarks.
            depth: Aligned with the image; None for none.
        """
        if face.position is None:
            return face
        size = None
        if depth is not None:
            size = measured_size(
                depth, face.landmarks, face.visibility, face.rotation, face.position
            )
        if size is not None:
            before = self._measured.get(face.id, size)
            self._measured[face.id] = before + _FOLLOWING * (size - before)
            return _sized(face, size, _DEPTH_SPREAD, True)
        if face.id in self._measured:
            return _sized(face, self._measured[face.id], _REMEMBERED_SPREAD, False)
        return _sized(face, self.assumed / INTERPUPILLARY_DISTANCE, _ADULT_SPREAD, False)

    def keep(self, names: Collection[str]) -> None:
        """Forget the sizes of all other faces."""
        self._measured = {name: s for name, s in self._measured.items() if name in names}


def _sized(face: Face, size: float, spread: float, measured: bool) -> Face:
    """Return the face at the distance that a size gives, with the size's relative error."""
    assert face.position is not None
    position, covariance = size * face.position, face.covariance.copy()
    covariance[:3, :3] = position_covariance(position, spread)
    return replace(
        face,
        position=position,
        covariance=covariance,
        interpupillary_distance=size * INTERPUPILLARY_DISTANCE,
        distance_is_measured=measured,
    )
