"""Shared memory for images: the default transport of Fast DDS loses most large best-effort ones."""

from __future__ import annotations

import os

from headpose_ros.errors import HeadposeError
from headpose_ros.ros.node.share import share_file

#: Distributions with Fast DDS 2.x, which reads the profile's path from a variable of another name.
_FASTDDS2_DISTROS = frozenset({'humble', 'jazzy'})
_OLD_NAME, _NEW_NAME = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'


def prefer_shared_memory() -> None:
    """Give Fast DDS the package's profile with a large shared-memory segment.

    To be called before rclpy.init. A profile that the user has set wins; another middleware
    ignores the variable.
    """
    if _OLD_NAME in os.environ or _NEW_NAME in os.environ:
        return
    try:
        profile = str(share_file('config/fastdds_shm.xml'))
    except HeadposeError:  # run from the sources: the default transport works, only slower
        return
    old = os.environ.get('ROS_DISTRO') in _FASTDDS2_DISTROS
    os.environ[_OLD_NAME if old else _NEW_NAME] = profile
