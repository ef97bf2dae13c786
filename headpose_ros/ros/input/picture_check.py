"""Whether the images of a camera show anything, and whether they stand still."""

from __future__ import annotations

from sensor_msgs.msg import Image

from headpose_ros.driver_monitoring.signals.cover import PERIOD, shows_nothing
from headpose_ros.errors import HeadposeError
from headpose_ros.ros.input.images import decode
from headpose_ros.ros.input.still import StillPicture


class PictureCheck:
    """Examines some of the images of one camera, and answers for stamps near to theirs."""

    def __init__(self) -> None:
        self._covered: tuple[float, bool] | None = None
        self._still = StillPicture()

    def update(self, stamp: float, image: Image) -> None:
        """Examine an image, unless the last one was examined a moment ago.

        Args:
            stamp: Of the image, s.
            image: The image.

        Raises:
            HeadposeError: It cannot be decoded; nothing is known then.
        """
        if self._covered is not None and 0 <= stamp - self._covered[0] < PERIOD:
            return
        self._still.update(stamp, image)
        try:
            self._covered = (stamp, shows_nothing(decode(image)))
        except HeadposeError:
            self._covered = None
            raise

    def is_covered(self, stamp: float, gap: float) -> bool | None:
        """Whether the camera is covered; None without an image within `gap` s of a stamp."""
        covered = self._covered
        if covered is None or abs(stamp - covered[0]) > gap:
            return None
        return covered[1]

    def is_still(self, stamp: float, gap: float, longest: float) -> bool:
        """Whether the picture within `gap` s of a stamp has stood still for `longest` s."""
        return self.is_covered(stamp, gap) is not None and self._still.seconds >= longest
