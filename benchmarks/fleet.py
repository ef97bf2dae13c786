"""A fleet's recordings for tests and figures: short films and bags of a photograph that moves.

    python benchmarks/fleet.py FOLDER --films 200 --bags 50 --seconds 1

Every film and bag shows another stretch of the motion. No ROS is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from headpose_ros.sources.photograph import FACE, photograph
from headpose_ros.sources.video_writer import VideoWriter
from headpose_ros.sources.virtual_camera import VirtualCamera

RATE = 15.0
_TYPES = get_typestore(Stores.ROS2_HUMBLE)
_COMPRESSED, _INFO = 'sensor_msgs/msg/CompressedImage', 'sensor_msgs/msg/CameraInfo'
#: Focal length in widths of the image: about 53 degrees across.
_FOCAL = 1.0


def pictures(first: float, seconds: float, width: int) -> Iterator[tuple[float, np.ndarray]]:
    """Yield time, s, and image of a stretch of the motion that begins at `first` s."""
    camera = VirtualCamera(photograph(), width, width * 3 // 4, focus=FACE)
    for index in range(max(round(seconds * RATE), 1)):
        yield index / RATE, camera.frame(first + index / RATE).image


def write_film(path: Path, first: float, seconds: float, width: int = 320) -> None:
    """Write H.264 in MP4."""
    with VideoWriter(path) as film:
        for time, image in pictures(first, seconds, width):
            film.write(image, time)


def write_bag(path: Path, first: float, seconds: float, width: int = 320) -> None:
    """Write a bag of JPEG images with a calibration, MCAP or SQLite by the number of its second."""
    storage = StoragePlugin.MCAP if round(first) % 2 else StoragePlugin.SQLITE3
    with Writer(path, version=8, storage_plugin=storage) as bag:
        images = bag.add_connection('/cabin/image_raw/compressed', _COMPRESSED, typestore=_TYPES)
        infos = bag.add_connection('/cabin/camera_info', _INFO, typestore=_TYPES)
        for time, image in pictures(first, seconds, width):
            stamp = 1_700_000_000_000_000_000 + round(1e9 * time)
            header = _header(stamp)
            info = _TYPES.serialize_cdr(_calibration(header, image), _INFO)
            bag.write(infos, stamp + 5_000_000, info)
            data = cv2.imencode('.jpg', image)[1].ravel()
            message = _TYPES.types[_COMPRESSED](header, 'jpeg', data)
            bag.write(images, stamp + 5_000_000, _TYPES.serialize_cdr(message, _COMPRESSED))


def _header(stamp: int) -> object:
    time = _TYPES.types['builtin_interfaces/msg/Time'](stamp // 10**9, stamp % 10**9)
    return _TYPES.types['std_msgs/msg/Header'](time, 'cabin_optical_frame')


def _calibration(header: object, image: np.ndarray) -> object:
    height, width = image.shape[:2]
    f, x, y = _FOCAL * width, (width - 1) / 2, (height - 1) / 2
    region = _TYPES.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return _TYPES.types[_INFO](
        header,
        height,
        width,
        'plumb_bob',
        np.zeros(5),
        np.array([f, 0, x, 0, f, y, 0, 0, 1]),
        np.eye(3).ravel(),
        np.array([f, 0, x, 0, 0, f, y, 0, 0, 0, 1, 0]),
        0,
        0,
        region,
    )


def write_fleet(folder: Path, films: int, bags: int, seconds: float, width: int = 320) -> None:
    """Write films and bags into the folders of three drivers."""
    for index in range(films + bags):
        place = folder / f'driver_{index % 3}'
        place.mkdir(parents=True, exist_ok=True)
        if index < films:
            write_film(place / f'film_{index:04}.mp4', 0.37 * index, seconds, width)
        else:
            write_bag(place / f'bag_{index:04}', float(index), seconds, width)


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--films', type=int, default=200)
    parser.add_argument('--bags', type=int, default=50)
    parser.add_argument('--seconds', type=float, default=1.0)
    parser.add_argument('--width', type=int, default=320)
    options = parser.parse_args()
    write_fleet(options.folder, options.films, options.bags, options.seconds, options.width)


if __name__ == '__main__':
    main()
