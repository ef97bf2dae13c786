r"""Seeded faults against nodes in other processes; after each, a good frame.

python benchmarks/faults.py --count 1000 --seed 0

A pose node and a driver node run throughout. A fault is survived when the first good image after
it, sent once the camera is connected, is answered with the one face at the right pose, and the
driver node answers that. Some faults are against a node of their own, which must go on or end as it
should. Prints tried and survived for every kind; the exit code is 1 when one was not survived, a
node died, or the pose node grew by more than 50 MB.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
import rig as rigs
from odd_messages import odd_values, spoiled
from pictures import photograph
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image, RegionOfInterest

from headpose_ros import DEFAULT_MODEL
from headpose_ros.models.released import released_file
from headpose_ros.msg import DriverState, Faces
from headpose_ros.nodes.pose_parameters import PoseConfig
from headpose_ros.ros.input.calibration import pinhole
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.parameters import rules

#: Of the smoothed pose right after a fault, degrees: some faults are images like any other, of
#: something that is not there.
_TOLERANCE = 10.0
_GROWTH = 50.0  # MB
#: Of the faults, about one in so many is one that takes seconds.
_SELDOM = 40
_REPORT_EVERY = 50  # faults
#: A process that is told to end does so within, s; what a busy machine adds is no failure.
_END = 5.0 + 10.0


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
        self.answered: set[tuple[int, int]] = set()
        node = self.rig.node
        self.false_faces = node.create_publisher(Faces, 'faces', qos.reliable())
        node.create_subscription(DriverState, 'driver_state', self._note_state, qos.reliable(100))

    def _note_state(self, state: Any) -> None:
        self.answered.add((state.header.stamp.sec, state.header.stamp.nanosec))

    def driver_answers(self, faces: Any, timeout: float = rigs.WAIT) -> bool:
        """Return whether the driver node answers these faces in time."""
        stamp = (faces.header.stamp.sec, faces.header.stamp.nanosec)
        good = self.rig.until(lambda: stamp in self.answered, timeout)
        self.answered.clear()
        return good

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

    def set(self, timeout: float = rigs.ANSWER, /, **values: Any) -> list[bool]:
        """Set parameters; two underscores stand for the dot in a name. Tell which were taken."""
        named = {name.replace('__', '.'): value for name, value in values.items()}
        request = SetParameters.Request(
            parameters=[Parameter(k, value=v).to_parameter_msg() for k, v in named.items()]
        )
        answer = self.rig.call(SetParameters, 'pose/set_parameters', request, timeout)
        return [result.successful for result in answer.results]

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
        self.rig.until(lambda: self.rig.node.count_publishers('driver_state') > 0, rigs.START)
        self.rig.until(lambda: self.false_faces.get_subscription_count() > 1, rigs.START)
        self.rig.until(lambda: self.rig.node.count_publishers('faces') > 1)
        self.rig.spin(rigs.HANDSHAKE)

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

    def meet_driver(self) -> None:
        """Send good images until the driver node answers: it has found the pose node's topic.

        Which of the nodes' topics have found each other cannot be seen from here.
        """
        end = time.monotonic() + rigs.START
        while time.monotonic() < end:
            answer = self.send()
            if answer is not None and self.driver_answers(answer, 1.0):
                return
        raise RuntimeError('the driver node never answers')

    def recovers(self) -> bool:
        """Return whether the next good image, once it can arrive, is answered well."""
        self.connect()
        self.calibrate()
        answer = self.send()
        if not self.is_good(answer):
            print(f'bad answer: {_summary(answer, self.reference)}', flush=True)
            return False
        if not self.driver_answers(answer):
            print('the driver node does not answer', flush=True)
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


Kind = Callable[[Bench], None]


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
            tracking__max_faces=draw.choice([0, 1, 8, -5]),
            tracking__retain=draw.choice([-1.0, 0.0, 2.0, float('nan')]),
            smoothing__enabled=draw.random() < 0.5,
            detection__threshold=draw.choice([0.05, 0.6, 7.0]),
            tracking__prefer=draw.choice(['size', 'nobody', 'region']),
            tracking__region=draw.choice([[], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.0, 0.1]]),
            view__quarter_turns=draw.choice([[0.0], [1.0, 1.0], [5.0]]),
        )
    bench.set(tracking__max_faces=8, tracking__retain=2.0, tracking__prefer='size')
    bench.set(smoothing__enabled=True, detection__threshold=0.6)


def model_replaced(bench: Bench) -> None:
    file = bench.folder / 'model.safetensors'
    good = Path(released_file(DEFAULT_MODEL)).read_bytes()
    cut = bench.random.randrange(1, len(good))
    file.write_bytes(bench.random.choice([b'', b'{}', good[:cut], good[cut:]]))
    if bench.set(network__model=str(file)) != [False]:
        raise RuntimeError('a damaged model was not refused')
    bench.set(network__model=DEFAULT_MODEL)


def lifecycle_storm(bench: Bench) -> None:
    names = ['deactivate', 'activate']
    if bench.random.random() < 0.3:
        names = ['deactivate', 'cleanup', 'configure', 'activate']
    for name in names * bench.random.randint(1, 2):
        if bench.random.random() < 0.5:
            bench.rig.images.publish(bench.rig.message(bench.picture))
        if not bench.rig.change(name):
            raise RuntimeError(f'{name} failed in state {bench.rig.state()}')
    if 'cleanup' in names:  # which makes new publishers
        bench.connect()
        bench.meet_driver()


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


def odd_image(bench: Bench) -> None:
    bench.throw(spoiled(bench.rig.message(bench.picture), bench.random.choice))


def spoiled_calibration(bench: Bench) -> None:
    info = pinhole(512, 512, 1.0)
    info.header = bench.rig.header()
    bench.rig.infos.publish(spoiled(info, bench.random.choice))
    bench.send()


def odd_faces(bench: Bench) -> None:
    answer = bench.send()
    if answer is not None:
        bench.false_faces.publish(spoiled(answer, bench.random.choice, most=6))
        bench.rig.spin(0.03)


def odd_parameter(bench: Bench) -> None:
    """Set a parameter to a value of any type at its edge; then back to what it was."""
    name = bench.random.choice(sorted(rules(PoseConfig)))
    message = Parameter(name).to_parameter_msg()
    types = zip(ParameterValue.get_fields_and_field_types(), ParameterValue.SLOT_TYPES, strict=True)
    number, (field, kind) = bench.random.choice(list(enumerate(types))[1:])
    value = bench.random.choice(odd_values(kind))
    message.value = ParameterValue(type=number, **{field: value})
    request = SetParameters.Request(parameters=[message])
    try:
        bench.rig.call(SetParameters, 'pose/set_parameters', request)
    except rigs.NoAnswerError as error:
        raise RuntimeError(f'{name} = {str(value)[:40]}: {error}') from error
    if not rules(PoseConfig)[name].read_only:
        good = {'tracking.confirm_hits': 1}.get(name, rules(PoseConfig)[name].default)
        plain = list(good) if isinstance(good, tuple) else good
        if bench.set(**{name: plain}) != [True]:
            raise RuntimeError(f'{name} cannot be set back')


def strange_model(bench: Bench) -> None:
    """Ask for a whole file of weights that no network has."""
    field, value = bench.random.choice(_STRANGE)
    file = strange_file(bench.folder, field, value)
    name = str(file) if bench.random.random() < 0.9 else 'x' * 300 + '.safetensors'
    refused = bench.set(network__model=name) == [False]
    bench.set(network__model=DEFAULT_MODEL)
    if not refused:
        raise RuntimeError(f'a model with {field} {value[:20]!r} was not refused')


def strange_file(folder: Path, field: str, value: Any) -> Path:
    """Write the released weights with another field of the header, or other data."""
    good = Path(released_file(DEFAULT_MODEL)).read_bytes()
    end = 8 + int.from_bytes(good[:8], 'little')
    header, data = json.loads(good[8:end]), good[end:]
    if field == 'data':
        data = value * (len(data) // 2)
    else:
        header['__metadata__'][field] = value
    text = json.dumps(header).encode()
    file = folder / 'strange.safetensors'
    file.write_bytes(len(text).to_bytes(8, 'little') + text + data)
    return file


def load_libraries(bench: Bench) -> None:
    """Have the node import PyTorch and torchvision, 650 MB that stay: weights of a ResNet do."""
    bench.set(rigs.START, network__model=str(strange_file(bench.folder, 'model', 'ccr')))


#: Half-precision NaN and infinity, and what the header of a file may say.
_STRANGE: tuple[tuple[str, Any], ...] = (
    ('data', b'\x00\x7e'),
    ('data', b'\x00\x7c'),
    *(('input_size', value) for value in ('0', '-1', '1000000', 'many', '')),
    *(('margin', value) for value in ('nan', '-1', '0', '1e308')),
    *(('options', value) for value in ('[' * 100_000, '[]', '{"width": 1e9}', 'null')),
    *(('model', value) for value in ('', '../mnn', 'ccr')),
)


def picture_frozen(bench: Bench) -> None:
    for _ in range(25):
        bench.send()
        bench.rig.spin(0.1)


def network_hangs(bench: Bench) -> None:
    """Let another pose node's network hang: it must end with its reason."""
    images = bench.rig.node.create_publisher(type(bench.rig.message(bench.picture)), _HANGING, 1)
    with _running(_beside('hanging_network.py'), '-r', '__ns:=/hanging') as process:
        sent = 0.0

        def ended() -> bool:
            nonlocal sent
            if time.monotonic() - sent > 0.2:
                sent = time.monotonic()
                images.publish(bench.rig.message(bench.picture))
            return process.poll() is not None

        bench.rig.until(ended, rigs.START)
        bench.rig.node.destroy_publisher(images)
        if process.poll() != 2:
            raise RuntimeError(f'a hanging network ended its node with {process.poll()}, not 2')


_HANGING = '/hanging/camera/image_raw'
_DRIVER = ('-m', 'headpose_ros.nodes.driver')


def camera_pulled(bench: Bench) -> None:
    """Pull a device out of another camera node and put it back, until it gives frames again."""
    seen: list[int] = []
    listener = bench.rig.node.create_subscription(
        Image,
        '/pulled/camera/image_raw',
        lambda image: seen.append(image.data[0]),
        qos.sensor_data(),
    )
    with _running(_beside('pulled_camera.py'), '-r', '__ns:=/pulled') as process:
        good = bench.rig.until(lambda: seen and seen[-1] > 1, rigs.START)
        bench.rig.node.destroy_subscription(listener)
        _end(process)
    if not good:
        raise RuntimeError('a camera that was pulled out did not come back')


def calibration_bomb(bench: Bench) -> None:
    """Give another camera node a calibration that is small and means something huge."""
    file = bench.folder / 'bomb.yaml'
    lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]']
    lines += [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 8)}]' for i in range(1, 12)]
    deep = '[' * 50_000
    file.write_text(bench.random.choice(['\n'.join(lines) + '\ncamera_matrix: *a11\n', deep]))
    words = ['-p', f'source:={bench.folder}', '-p', f'calibration:={file}']
    cv2.imwrite(str(bench.folder / 'picture.png'), np.zeros((48, 64, 3), np.uint8))
    with _running(['-m', 'headpose_ros.nodes.camera'], *words) as process:
        if not bench.rig.until(lambda: process.poll() is not None, rigs.START):
            raise RuntimeError('a calibration keeps the camera node from starting or ending')
        if process.poll() != 2:
            raise RuntimeError(f'a calibration ended the camera node with {process.poll()}, not 2')


def page_attacked(bench: Bench) -> None:
    """Ask the live page for what it must not give, and see that it still serves its own."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with _running(['-m', 'headpose_ros.cli', 'view', '--port', str(port)]) as process:
        bench.rig.until(lambda: _listens(port) or process.poll() is not None, rigs.START)
        with socket.create_connection(('127.0.0.1', port)) as rude:
            rude.sendall(bench.random.randbytes(bench.random.randrange(1, 5000)))
        foreign = _get(port, bench.random.choice(['evil.example', f'evil.example:{port}', '']))
        own = _get(port, f'127.0.0.1:{port}')
        odd_faces(bench)
        if (foreign, own, _get(port, f'localhost:{port}')) != (403, 200, 200):
            raise RuntimeError(f'the page answered a foreign host {foreign}, its own {own}')
        _end(process)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def _get(port: int, host: str) -> int:
    """Return the status of the page's answer."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=rigs.WAIT)
    try:
        connection.request('GET', '/', headers={'Host': host})
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def _running(program: Sequence[str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node of its own with ROS arguments."""
    process = rigs.start_node(*arguments, program=program)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _beside(name: str) -> list[str]:
    return [str(Path(__file__).with_name(name))]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, which must be soon and without an error."""
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(_END)
    except subprocess.TimeoutExpired:
        raise RuntimeError('a process does not end when it is told to') from None
    if code:
        raise RuntimeError(f'a process that was told to end did so with {code}')


RAW: tuple[Kind, ...] = (
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
    odd_image,
    spoiled_calibration,
    odd_faces,
    odd_parameter,
    strange_model,
    camera_killed,
    picture_frozen,
    network_hangs,
    camera_pulled,
    calibration_bomb,
    page_attacked,
)
#: Those of them that take seconds.
SLOW = RAW[RAW.index(camera_killed) :]
COMPRESSED: tuple[Kind, ...] = (corrupt_jpeg, truncated_jpeg, odd_image)


@contextmanager
def running(compressed: bool, seed: int) -> Iterator[tuple[Bench, subprocess.Popen[bytes]]]:
    """Run a node and wait until it answers well."""
    transport = 'compressed' if compressed else 'raw'
    process = rigs.start_node(
        '-p', f'input.transport:={transport}', '-p', 'tracking.confirm_hits:=1'
    )
    with tempfile.TemporaryDirectory() as folder, _running(_DRIVER) as driver:
        bench = Bench(compressed, seed, Path(folder))
        try:
            bench.connect()
            bench.reference = bench.first_pose()
            bench.meet_driver()
            yield bench, process
            if driver.poll() is not None:
                raise RuntimeError(f'the driver node died: exit code {driver.returncode}')
        finally:
            bench.rig.close()
            process.kill()
            process.wait()


def draw(kinds: Sequence[Kind], chance: random.Random) -> Kind:
    """Return a kind by chance; those that take seconds come seldom."""
    slow = [kind for kind in kinds if kind in SLOW]
    if slow and chance.random() < 1 / _SELDOM:
        return chance.choice(slow)
    return chance.choice([kind for kind in kinds if kind not in SLOW])


def run(kinds: tuple[Kind, ...], count: int, compressed: bool, seed: int) -> Any:
    """Return counters of tried and survived faults, and the MB that the node grew by."""
    tried: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    with running(compressed, seed) as (bench, process):
        if strange_model in kinds:
            load_libraries(bench)
        begun = rigs.resident(process)
        for index in range(count):
            kind = kinds[index] if index < len(kinds) else draw(kinds, bench.random)
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
            if index == count // 5:  # caches and pools are filled by now
                begun = rigs.resident(process)
            if index % _REPORT_EVERY == _REPORT_EVERY - 1:
                print(f'{index + 1} faults, {rigs.resident(process):.0f} MB', flush=True)
        _report(tried, survived)
        return tried, survived, rigs.resident(process) - begun


def _report(tried: Counter[str], survived: Counter[str]) -> None:
    for name, number in sorted(tried.items()):
        print(f'{name:20} tried {number:4}  survived {survived[name]:4}', flush=True)


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
    all_tried = sum(sum(part[0].values()) for part in parts)
    all_survived = sum(sum(part[1].values()) for part in parts)
    growth = max(part[2] for part in parts)
    seconds = time.monotonic() - start
    print(f'tried {all_tried}, survived {all_survived}, memory grew by {growth:.1f} MB, ', end='')
    print(f'{seconds:.0f} s')
    return int(all_survived < all_tried or growth > _GROWTH)


if __name__ == '__main__':
    sys.exit(main())
