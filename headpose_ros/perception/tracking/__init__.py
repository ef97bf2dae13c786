"""Which face is which over time: ids, and where to expect each face in the next image.

All times are the stamps of the images, in seconds.
"""

from headpose_ros.perception.tracking.options import PREFERENCES, TrackingOptions
from headpose_ros.perception.tracking.tracker import FaceTracker

__all__ = ['PREFERENCES', 'FaceTracker', 'TrackingOptions']
