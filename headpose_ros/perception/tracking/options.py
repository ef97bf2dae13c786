"""The options of tracking."""

from __future__ import annotations

from dataclasses import dataclass

from headpose_ros.parameter import parameter, region

#: Values of `TrackingOptions.prefer`.
PREFERENCES = ('size', 'centre', 'region')


@dataclass(frozen=True)
class TrackingOptions:
    """How faces are followed."""

    max_faces: int = parameter(
        8,
        'Largest number of faces followed at a time; `prefer` decides which.',
        minimum=1,
        maximum=64,
        basic=True,
        former='max_faces',
    )
    detect_every: int = parameter(
        10,
        'The detector looks for new faces once in this number of frames; in each frame while no '
        'face is followed, and more often while one is out of sight.',
        minimum=1,
        maximum=1000,
        unit='frames',
        former='detect_every',
    )
    confirm_hits: int = parameter(
        2,
        'A face is reported once it was seen in this number of frames; 1 suits images that are '
        'farther apart than `retain`.',
        minimum=1,
        maximum=100,
        unit='frames',
        former='confirm_hits',
    )
    retain: float = parameter(
        2.0,
        'A face that comes back within this time keeps its id.',
        minimum=0.0,
        maximum=60.0,
        unit='s',
        basic=True,
        former='retain',
    )
    prefer: str = parameter(
        'size',
        'Which faces are followed when there are more than `max_faces`, the first of them in '
        'head_pose: the largest in the image, the nearest to its centre, or those in `region`, '
        'then the largest.',
        choices=PREFERENCES,
        basic=True,
        former='prefer',
    )
    region: tuple[float, float, float, float] = parameter(
        (0.0, 0.0, 1.0, 1.0),
        'Where faces are preferred, such as the seat of the driver: x, y, width and height as '
        "shares of the image's. Used when `prefer` is 'region'.",
        minimum=0.0,
        maximum=1.0,
        former='preferred_region',
    )

    def __post_init__(self) -> None:
        """Refuse an empty region."""
        region('region', self.region)
