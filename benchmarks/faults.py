r"""Seeded faults against a pose node in another process; after each, a good frame.

python benchmarks/faults.py --count 1000 --seed 0

A fault is survived when the first good image after it, sent once the camera is connected, is
answered with the one face at the right pose. Prints tried and survived for every kind; the exit
code is 1 when one was not survived, the node died, or it grew by more than 50 MB.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
import rig as rigs
from pictures import photograph
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import RegionOfInterest

from headpose_ros import DEFAULT_MODEL
from headpose_ros.models.weights import released_file
from headpose_ros.ros import qos
from headpose_ros.ros.calibration import pinhole

#: Of the smoothed pose right after a fault, degrees: some faults are images like any other, of
#: something that is not there.
_TOLERANCE = 10.0
_GROWTH = 50.0  # MB
#: A publisher knows a subscriber before the subscriber knows it; what is sent then may be lost.
_HANDSHAKE = 0.15  # s


class Bench:
    """The rig, the good picture, and what is drawn at random."""

    def __init__(self, compressed: bool, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.rig = rigs.Rig(compressed)
        self.folder = folder
        self.picture: Any = photograph()
        if compressed:
            self.picture = cv2.imencode('.jpg', self.picture)[1].tobytes()
        self.reference: Any = None

    def send(self, **header: Any) -> Any:
        return self.rig.answer(self.rig.message(self.picture, **header))

    def throw(self, message: Any) -> None:
        """Publish something bad, and let the node have it."""
        self.rig.images.publish(message)
        self.rig.spin(0.03)

    def calibrate(self, **fields: Any) -> None:
        info = pinhole(512, 512, 1.0)
        for name, value in fields.items():
            setattr(info, name, value)
        info.header = self.rig.header()
        self.rig.infos.publish(info)
        self.rig.spin(0.03)

    def set(self, **values: Any) -> list[bool]:
        request = SetParameters.Request(
            parameters=[Parameter(k, value=v).to_parameter_msg() for k, v in values.items()]
        )
        answer = self.rig.call(SetParameters, 'pose/set_parameters', request)
        return [] if answer is None else [result.successful for result in answer.results]

    def is_good(self, answer: Any) -> bool:
        if answer is None or len(answer.faces) != 1 or answer.header.frame_id != rigs.FRAME:
            return False
        if not answer.faces[0].head_pose.translation_is_metric:
            return False
        found = _rotation(answer)
        return bool(np.degrees((found * self.reference.inv()).magnitude()) < _TOLERANCE)

    def connect(self) -> None:
        """Wait until both sides know each other."""
        self.rig.until(lambda: self.rig.images.get_subscription_count() > 0, rigs.START)
        self.rig.until(lambda: self.rig.infos.get_subscription_count() > 0)
        self.rig.until(lambda: self.rig.node.count_publishers('faces') > 0)
        self.rig.spin(_HANDSHAKE)

    def first_pose(self) -> Rotation:
        """Return the rotation that the node finds once it is calibrated and calm."""
        for _ in range(20):
            self.calibrate()
            for _ in range(5):
                answer = self.send()
            faces = [] if answer is None else answer.faces
            if [face.head_pose.translation_is_metric for face in faces] == [True]:
                return _rotation(answer)
        raise RuntimeError('the node does not find the face before any fault')

    def recovers(self) -> bool:
        """Tell whether the next good image, once it can arrive, is answered well."""
        self.connect()
        self.calibrate()
        answer = self.send()
        if not self.is_good(answer):
            print(f'bad answer: {_summary(answer, self.reference)}', flush=True)
            return False
        return True


def _summary(answer: Any, reference: Rotation) -> str:
    if answer is None or not answer.faces:
        return 'no face'
    off = np.degrees((_rotation(answer) * reference.inv()).magnitude())
    metric = [face.head_pose.translation_is_metric for face in answer.faces]
    return f'{len(metric)} faces, metric {metric}, the first off by {off:.1f} degrees'


def _rotation(answer: Any) -> Rotation:
    q = answer.faces[0].head_pose.pose.pose.orientation
    return Rotation.from_quat([q.x, q.y, q.z, q.w])


def corrupt_jpeg(bench: Bench) -> None:
    data = bytearray(bench.picture)
    for _ in range(bench.random.randint(1, 200)):
        data[bench.random.randrange(len(data))] = bench.random.randrange(256)
    bench.throw(bench.rig.message(bytes(data), frame='corrupt'))


def truncated_jpeg(bench: Bench) -> None:
    bench.throw(bench.rig.message(bench.picture[: bench.random.randrange(len(bench.picture))]))


def truncated_data(bench: Bench) -> None:
    message = bench.rig.message(bench.picture)
    message.data = message.data[: bench.random.randrange(len(message.data))]
    bench.throw(message)


def wrong_step(bench: Bench) -> None:
    message = bench.rig.message(bench.picture)
    message.step = bench.random.choice([0, 1, 511, 1535, 2**31])
    bench.throw(message)


def zero_size(bench: Bench) -> None:
    message = bench.rig.message(bench.picture)
    setattr(message, bench.random.choice(['width', 'height']), bench.random.choice([0, 2**31]))
    bench.throw(message)


def wrong_encoding(bench: Bench) -> None:
    message = bench.rig.message(bench.picture)
    message.encoding = bench.random.choice(['', 'jpeg', '64FC9', 'bayer_rggb16', 'nv12', 'rgba8'])
    bench.throw(message)


def nan_calibration(bench: Bench) -> None:
    bad = bench.random.choice([float('nan'), float('inf'), -1.0, 0.0])
    field, size = bench.random.choice([('k', 9), ('d', 5)])
    bench.calibrate(**{field: np.full(size, bad) if field == 'k' else [bad] * size})
    bench.send()


def odd_calibration(bench: Bench) -> None:
    """Send what drivers make of the other fields; the image is answered all the same."""
    draw = bench.random
    bench.calibrate(
        width=draw.choice([0, 512, 1024, 2**32 - 1]),
        d=[draw.uniform(-1, 1)] * draw.randrange(20),
        distortion_model=draw.choice(['', 'plumb_bob', 'equidistant', 'omni', 'x' * 10_000]),
        p=draw.choice([np.zeros(12), np.full(12, np.nan)]),
        r=draw.choice([np.zeros(9), np.full(9, np.nan)]),
        binning_x=draw.choice([0, 1, 2, 2**32 - 1]),
        roi=RegionOfInterest(
            x_offset=draw.choice([0, 200, 2**32 - 1]), width=draw.choice([0, 512, 2**32 - 1])
        ),
    )
    if bench.send() is None:
        raise RuntimeError('an image was lost to its camera_info')


def deep_picture(bench: Bench) -> None:
    """Send grey of some bits in 16; the face is found all the same."""
    shift = bench.random.choice([0, 2, 4, 8])
    grey = cv2.cvtColor(bench.picture, cv2.COLOR_BGR2GRAY).astype('>u2') << shift
    message = bench.rig.message(bench.picture)
    message.encoding, message.is_bigendian, message.step = 'mono16', 1, 1024
    message.data = grey.astype('>u2').tobytes()
    answer = bench.rig.answer(message)
    if answer is None or len(answer.faces) != 1:
        raise RuntimeError(f'no face in grey of {8 + shift} bits')


def frame_id_flip(bench: Bench) -> None:
    names = ['', '/', '/other', 'other', 'face_f1', 'ümlaut', 'a/b', 'x' * 10_000]
    bench.send(frame=bench.random.choice(names))


def stamp_backwards(bench: Bench) -> None:
    bench.throw(bench.rig.message(bench.picture, age=bench.random.choice([0.1, 0.4, 1, 60, 1e6])))


def stamp_ahead(bench: Bench) -> None:
    bench.throw(bench.rig.message(bench.picture, age=-bench.random.choice([1, 60, 1e5])))


def camera_restart(bench: Bench) -> None:
    bench.rig.camera(qos.reliable(1))


def qos_change(bench: Bench) -> None:
    profile = qos.from_name(bench.random.choice(qos.RELIABILITIES), bench.random.randint(1, 10))
    if bench.random.random() < 0.3:
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    bench.rig.camera(profile)
    bench.connect()
    bench.throw(bench.rig.message(bench.picture))
    bench.rig.camera(qos.reliable(1))


def parameter_storm(bench: Bench) -> None:
    draw = bench.random
    for _ in range(10):
        bench.set(
            max_faces=draw.choice([0, 1, 8, -5]),
            retain=draw.choice([-1.0, 0.0, 2.0, float('nan')]),
            smooth=draw.random() < 0.5,
            detector_threshold=draw.choice([0.05, 0.6, 7.0]),
            prefer=draw.choice(['size', 'nobody', 'region']),
            preferred_region=draw.choice([[], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.0, 0.1]]),
            quarter_turns=draw.choice([[0.0], [1.0, 1.0], [5.0]]),
        )
    bench.set(max_faces=8, retain=2.0, smooth=True, detector_threshold=0.6, prefer='size')


def model_replaced(bench: Bench) -> None:
    file = bench.folder / 'model.safetensors'
    good = Path(released_file(DEFAULT_MODEL)).read_bytes()
    cut = bench.random.randrange(len(good))
    file.write_bytes(bench.random.choice([b'', b'{}', good[:cut], good[cut:]]))
    if bench.set(model=str(file)) != [False]:
        raise RuntimeError('a damaged model was not refused')
    bench.set(model=DEFAULT_MODEL)


def lifecycle_storm(bench: Bench) -> None:
    names = ['deactivate', 'activate']
    if bench.random.random() < 0.3:
        names = ['deactivate', 'cleanup', 'configure', 'activate']
    for name in names * bench.random.randint(1, 2):
        if bench.random.random() < 0.5:
            bench.rig.images.publish(bench.rig.message(bench.picture))
        if not bench.rig.change(name):
            raise RuntimeError(f'{name} failed in state {bench.rig.state()}')


def camera_killed(bench: Bench) -> None:
    """Let a camera in a process of its own die in the middle of its work."""
    program = Path(__file__).with_name('small_camera.py')
    camera = subprocess.Popen([sys.executable, str(program)])
    try:
        bench.rig.until(lambda: bench.rig.node.count_publishers('camera/image_raw') > 1, 30.0)
        bench.rig.spin(bench.random.uniform(0.0, 0.3))
    finally:
        camera.kill()
        camera.wait()


RAW: tuple[Callable[[Bench], None], ...] = (
    truncated_data,
    wrong_step,
    zero_size,
    wrong_encoding,
    nan_calibration,
    odd_calibration,
    deep_picture,
    frame_id_flip,
    stamp_backwards,
    stamp_ahead,
    camera_restart,
    qos_change,
    parameter_storm,
    model_replaced,
    lifecycle_storm,
    camera_killed,
)
COMPRESSED: tuple[Callable[[Bench], None], ...] = (corrupt_jpeg, truncated_jpeg)


@contextmanager
def running(compressed: bool, seed: int) -> Iterator[tuple[Bench, subprocess.Popen[bytes]]]:
    """Run a node and wait until it answers well."""
    transport = 'compressed' if compressed else 'raw'
    process = rigs.start_node('-p', f'image_transport:={transport}', '-p', 'confirm_hits:=1')
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(compressed, seed, Path(folder))
        try:
            bench.connect()
            bench.reference = bench.first_pose()
            yield bench, process
        finally:
            bench.rig.close()
            process.kill()
            process.wait()


def run(kinds: tuple[Callable[[Bench], None], ...], count: int, compressed: bool, seed: int) -> Any:
    """Return counters of tried and survived faults, and the MB that the node grew by."""
    tried: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    with running(compressed, seed) as (bench, process):
        begun = rigs.resident(process)
        for index in range(count):
            kind = kinds[index] if index < len(kinds) else bench.random.choice(kinds)
            tried[kind.__name__] += 1
            try:
                kind(bench)
                good = bench.recovers()
            except RuntimeError as error:
                print(f'{kind.__name__}: {error}', flush=True)
                good = False
            if process.poll() is not None:
                print(f'the node died of {kind.__name__}: exit code {process.returncode}')
                return tried, survived, float('inf')
            survived[kind.__name__] += good
            if not good:
                print(f'fault {index}, {kind.__name__}, was not survived', flush=True)
            if index == count // 5:  # what is loaded lazily is there by now
                begun = rigs.resident(process)
        return tried, survived, rigs.resident(process) - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=1000, help='faults (%(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    rigs.isolate()
    rclpy.init()
    start = time.monotonic()
    share = max(options.count * len(COMPRESSED) // (len(COMPRESSED) + len(RAW)), 1)
    parts = [
        run(RAW, options.count - share, False, options.seed),
        run(COMPRESSED, share, True, options.seed + 1),
    ]
    rclpy.try_shutdown()
    for tried, survived, _ in parts:
        for name, number in sorted(tried.items()):
            print(f'{name:20} tried {number:4}  survived {survived[name]:4}')
    all_tried = sum(sum(part[0].values()) for part in parts)
    all_survived = sum(sum(part[1].values()) for part in parts)
    growth = max(part[2] for part in parts)
    seconds = time.monotonic() - start
    print(f'tried {all_tried}, survived {all_survived}, memory grew by {growth:.1f} MB, ', end='')
    print(f'{seconds:.0f} s')
    return int(all_survived < all_tried or growth > _GROWTH)


if __name__ == '__main__':
    sys.exit(main())
