"""Bags of both storages: copied, with our topics added, the same way every time."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy')
pytest.importorskip('rosbags', reason='pip install rosbags')

import cv2
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage

import headpose_ros
from headpose_ros.errors import HeadposeError
from headpose_ros.ros.input.calibration import pinhole
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node.share import share_file
from headpose_ros.sources.open import open_stream
from headpose_ros.tools import bag as bag_module
from headpose_ros.tools import bag_writer
from headpose_ros.tools.bag import BagOptions, annotate_bag
from headpose_ros.tools.bag_writer import BagError
from headpose_ros.tools.definitions import definition, message_class, type_name
from headpose_ros.tools.recording import Recording, RecordingError

ROOT = Path(__file__).parents[1]
FRAMES = 12
FRAME = 'cabin_optical_frame'
IMAGE, INFO = '/cabin/image_raw', '/cabin/camera_info'
STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}


@pytest.fixture(scope='module')
def analyzer() -> Any:
    return headpose_ros.load(device='cpu')


@pytest.fixture(scope='module')
def pictures() -> list[np.ndarray]:
    source = open_stream('astronaut', width=320)
    return [source.read() for _ in range(FRAMES)]


class Bag:
    """Writes a bag message by message."""

    def __init__(self, path: Path, storage: str = 'mcap') -> None:
        self.path = path
        self._writer = Writer(path, version=8, storage_plugin=STORAGES[storage])
        self._writer.open()
        self._topics: dict[str, Any] = {}

    def write(self, topic: str, stamp: int, message: Any, data: bytes | None = None) -> None:
        if topic not in self._topics:
            name, store = type_name(type(message)), get_typestore(Stores.EMPTY)
            store.register(get_types_from_msg(definition(type(message)), name))
            self._topics[topic] = self._writer.add_connection(topic, name, typestore=store)
        self._writer.write(self._topics[topic], stamp, data or serialize_message(message))

    def close(self) -> Path:
        self._writer.close()
        return self.path


def header(index: int) -> Header:
    nanoseconds = 1_000_000_000_000 + index * 33_333_333
    stamp = Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return Header(stamp=stamp, frame_id=FRAME)


def compressed(picture: np.ndarray, index: int, ending: str) -> CompressedImage:
    data = cv2.imencode(ending, picture)[1].tobytes()
    return CompressedImage(header=header(index), format=ending.strip('.'), data=data)


def recording(
    path: Path,
    pictures: list[np.ndarray],
    storage: str = 'mcap',
    make: Any = lambda picture, index: encode_bgr(picture, header(index)),
    topic: str = IMAGE,
    calibrated: bool = True,
) -> Path:
    bag = Bag(path, storage)
    for index, picture in enumerate(pictures):
        stamp = 5_000_000_000_000 + index * 33_333_333
        bag.write(topic, stamp, make(picture, index))
        if calibrated:
            info = pinhole(picture.shape[1], picture.shape[0], 1.0)
            info.header = header(index)
            bag.write(INFO, stamp + 1, info)
        bag.write('/chatter', stamp + 2, String(data=f'word {index}'))
    frame = TransformStamped(header=header(0), child_frame_id=FRAME)
    bag.write('/tf', 5_000_000_000_001, TFMessage(transforms=[frame]))
    return bag.close()


def read(path: Path) -> list[tuple[str, int, bytes]]:
    with Reader(path) as reader:
        return [(c.topic, stamp, bytes(data)) for c, stamp, data in reader.messages()]


def messages(path: Path, topic: str) -> list[Any]:
    with Reader(path) as reader:
        return [
            deserialize_message(bytes(data), message_class(c.msgtype))
            for c, _, data in reader.messages()
            if c.topic == topic
        ]


@pytest.mark.parametrize('storage', STORAGES)
def test_a_bag_is_copied_and_our_topics_are_added(
    storage: str, analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    source = recording(tmp_path / 'in', pictures, storage)
    out = tmp_path / 'out'
    analyzer.reset()
    summary = annotate_bag(analyzer, BagOptions(source, out))
    assert (summary.images, summary.refused) == (FRAMES, 0)
    assert summary.faces == FRAMES - 1  # the first image confirms the face
    before, after = read(source), read(out)
    assert not Counter(before) - Counter(after)
    added = Counter(topic for topic, _, _ in (Counter(after) - Counter(before)).elements())
    assert added == {
        '/faces': FRAMES, '/markers': FRAMES, '/head_pose': FRAMES - 1, '/tf': FRAMES - 1
    }  # fmt: skip
    assert [s for _, s, _ in after] == sorted(s for _, s, _ in after)
    faces = messages(out, '/faces')
    assert faces[3].header == header(3)
    assert all(face.head_pose.translation_is_metric for m in faces for face in m.faces)
    children = {t.child_frame_id for m in messages(out, '/tf') for t in m.transforms}
    assert FRAME in children and any(name.startswith('face_') for name in children)
    assert any(out.glob('*.mcap' if storage == 'mcap' else '*.db3'))


def test_two_runs_give_the_same_bytes(pictures: list[np.ndarray], tmp_path: Path) -> None:
    source = recording(tmp_path / 'in', pictures)
    outs = [tmp_path / 'a' / 'out', tmp_path / 'b' / 'out']  # MCAP holds its own name
    for out in outs:
        annotate_bag(headpose_ros.load(device='cpu'), BagOptions(source, out))
    first, second = ((out / 'out.mcap').read_bytes() for out in outs)
    assert first == second


def test_types_have_the_hashes_of_this_machine(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    out = tmp_path / 'out'
    annotate_bag(analyzer, BagOptions(recording(tmp_path / 'in', pictures[:2]), out))
    with Reader(out) as reader:
        digest = next(c.digest for c in reader.connections if c.topic == '/faces')
    described = json.loads(share_file('msg/Faces.json').read_text())['type_hashes']
    assert digest in [entry['hash_string'] for entry in described]


@pytest.mark.parametrize('ending', ['.jpg', '.png'])
def test_compressed_images_are_read(
    ending: str, analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    source = recording(
        tmp_path / 'in',
        pictures[:4],
        make=lambda picture, index: compressed(picture, index, ending),
        topic=f'{IMAGE}/compressed',
    )
    analyzer.reset()
    summary = annotate_bag(analyzer, BagOptions(source, tmp_path / 'out'))
    assert (summary.images, summary.faces) == (4, 3)
    assert messages(tmp_path / 'out', '/faces')[2].faces[0].head_pose.translation_is_metric


def test_without_a_calibration_poses_are_rotations(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    source = recording(tmp_path / 'in', pictures[:4], calibrated=False)
    analyzer.reset()
    annotate_bag(analyzer, BagOptions(source, tmp_path / 'out', namespace='/robot/'))
    faces = messages(tmp_path / 'out', '/robot/faces')
    assert not faces[2].faces[0].head_pose.translation_is_metric


def with_infos(path: Path, pictures: list[np.ndarray], topic: str, change: Any) -> Path:
    """Write a bag whose images and calibrations were changed alike."""
    bag = Bag(path)
    for index, picture in enumerate(pictures):
        image, info = encode_bgr(picture, header(index)), pinhole(320, 240, 1.0)
        info.header = image.header
        change(image, info)
        bag.write(f'{topic.rpartition("/")[0]}/camera_info', 2 * index, info)
        bag.write(topic, 2 * index + 1, image)
    return bag.close()


def places(path: Path) -> list[Any]:
    found = [message.faces for message in messages(path, '/faces')]
    return [faces[0].head_pose.pose.pose.position for faces in found if faces]


def test_rectified_images_are_read_by_p(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    def lens(image: Any, info: Any) -> None:
        info.k, info.d = pinhole(320, 240, 1.6).k, [-0.3, 0.1, 0.0, 0.0, 0.0]

    def nothing(image: Any, info: Any) -> None:
        pass

    found = []
    for name, change, choice in (
        ('image_rect', lens, 'auto'),
        ('undistorted', lens, 'true'),
        ('image_raw', nothing, 'auto'),
    ):
        source = with_infos(tmp_path / f'in_{name}', pictures[:3], f'/cabin/{name}', change)
        analyzer.reset()
        annotate_bag(analyzer, BagOptions(source, tmp_path / name, rectified=choice))
        found.append(places(tmp_path / name))
    assert found[0] == found[1] == found[2]


def test_a_calibration_and_a_frame_that_cannot_be_used_are_remarked(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    def spoil(image: Any, info: Any) -> None:
        info.d, image.header.frame_id = [0.1] * 6, ''

    source, out = with_infos(tmp_path / 'in', pictures[:4], IMAGE, spoil), tmp_path / 'out'
    analyzer.reset()
    summary = annotate_bag(analyzer, BagOptions(source, out))
    assert (summary.images, summary.refused, summary.faces) == (4, 0, 3)
    calibration, frame = summary.remarks
    assert 'D has 6 coefficients' in calibration and calibration.endswith('rotations only')
    assert 'frame_id is empty' in frame
    assert not messages(out, '/tf')
    assert not messages(out, '/faces')[3].faces[0].head_pose.translation_is_metric


def test_a_damaged_image_is_left_out_and_the_next_one_used(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    bag = Bag(tmp_path / 'in')
    for index, picture in enumerate(pictures[:5]):
        image = encode_bgr(picture, header(index))
        data = serialize_message(image)
        bag.write(IMAGE, index + 1, image, data[:200] if index == 2 else data)
    analyzer.reset()
    summary = annotate_bag(analyzer, BagOptions(bag.close(), tmp_path / 'out'))
    assert (summary.images, summary.refused, summary.faces) == (4, 1, 3)
    assert summary.problem


def _refusal(analyzer: Any, options: BagOptions) -> str:
    with pytest.raises(HeadposeError) as caught:
        annotate_bag(analyzer, options)
    assert not (options.out / 'metadata.yaml').exists()
    return str(caught.value)


def _refusal_of(analyzer: Any, options: BagOptions) -> str:
    with pytest.raises(HeadposeError) as caught:
        annotate_bag(analyzer, options)
    return str(caught.value)


def test_a_bag_without_images_says_so(analyzer: Any, tmp_path: Path) -> None:
    bag = Bag(tmp_path / 'in')
    bag.write('/chatter', 1, String(data='hello'))
    said = _refusal(analyzer, BagOptions(bag.close(), tmp_path / 'out'))
    assert 'has no images: expected a topic of sensor_msgs/msg/Image' in said


def test_an_unknown_encoding_is_named(analyzer: Any, tmp_path: Path) -> None:
    bag = Bag(tmp_path / 'in')
    image = Image(header=header(0), width=2, height=2, step=8, encoding='rgb101010', data=[0] * 16)
    bag.write(IMAGE, 1, image)
    said = _refusal(analyzer, BagOptions(bag.close(), tmp_path / 'out'))
    assert "unknown encoding 'rgb101010': expected one of bgr8" in said
    assert not (tmp_path / 'out').exists()


def test_several_cameras_must_be_chosen_from(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    bag = Bag(tmp_path / 'in')
    for index in range(3):
        for name in ('/left/image', '/right/image'):
            bag.write(name, index + 1, encode_bgr(pictures[index], header(index)))
    source, out = bag.close(), tmp_path / 'out'
    said = _refusal(analyzer, BagOptions(source, out))
    assert 'has images on /left/image, /right/image: choose one with --image' in said
    assert 'expected /left/image or' in _refusal(analyzer, BagOptions(source, out, '/none'))
    analyzer.reset()
    assert annotate_bag(analyzer, BagOptions(source, out, '/left/image')).images == 3


def test_topics_that_are_taken_need_a_namespace(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    once, twice = tmp_path / 'once', tmp_path / 'twice'
    annotate_bag(analyzer, BagOptions(recording(tmp_path / 'in', pictures[:2]), once))
    said = _refusal(analyzer, BagOptions(once, twice))
    assert 'already has /faces' in said and 'choose a --namespace' in said
    assert annotate_bag(analyzer, BagOptions(once, twice, namespace='b')).images == 2


def test_the_command_says_what_it_did(pictures: list[np.ndarray], tmp_path: Path) -> None:
    source = recording(tmp_path / 'in', pictures[:3])
    words = [sys.executable, '-m', 'headpose_ros.cli', 'bag', '--device', 'cpu']
    for _ in range(2):
        done = subprocess.run(
            [*words, str(source), str(tmp_path / 'out')],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            break
        assert '3 images with 2 faces' in done.stdout
    assert done.returncode == 2
    assert 'exists already: choose another name, or --overwrite' in done.stderr
    assert 'Traceback' not in done.stderr
    assert 'no such bag' in _refusal(None, BagOptions(tmp_path / 'nowhere', tmp_path / 'o'))


def test_a_bag_is_overwritten_when_told_and_nothing_else(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    source, out = recording(tmp_path / 'in', pictures[:2]), tmp_path / 'out'
    for _ in range(2):
        annotate_bag(analyzer, BagOptions(source, out, overwrite=True))
    assert len(messages(out, '/faces')) == 2
    (out / 'thesis.tex').write_text('precious')
    said = _refusal_of(analyzer, BagOptions(source, out, overwrite=True))
    assert 'thesis.tex in it is no part of a bag' in said
    assert len(messages(out, '/faces')) == 2


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('name', ['a b [c] $d', '50%41 #1?x=1', 'ärger 顔'])
def test_bags_may_have_any_name(
    name: str, storage: str, analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    plain = recording(tmp_path / 'in', pictures[:2], storage)
    source = plain.rename(tmp_path / name)
    assert annotate_bag(analyzer, BagOptions(source, tmp_path / f'{name} out')).images == 2
    files = {path.parent.name for path in tmp_path.glob('*/out*')} | set(tmp_path.iterdir())
    assert files == {tmp_path / name, tmp_path / f'{name} out'}
    (file,) = source.glob('in.*')
    single = file.rename(tmp_path / f'{name}{file.suffix}')
    assert annotate_bag(analyzer, BagOptions(single, tmp_path / 'single')).images == 2


def _mcap(path: Path, pictures: list[np.ndarray], others: dict[str, tuple[str, str, str]]) -> Path:
    """Write an MCAP file of images and of topics with name, language and text of a schema."""
    writer_module = pytest.importorskip('mcap.writer', reason='pip install mcap')
    with path.open('wb') as stream:
        writer = writer_module.Writer(stream)
        writer.start('ros2')
        schema = writer.register_schema(type_name(Image), 'ros2msg', definition(Image).encode())
        channel = writer.register_channel(IMAGE, 'cdr', schema)
        strange = []
        for topic, (kind, language, text) in others.items():
            number = writer.register_schema(kind, language, text.encode()) if kind else 0
            strange.append(writer.register_channel(topic, 'cdr', number))
        for index, picture in enumerate(pictures):
            data = serialize_message(encode_bgr(picture, header(index)))
            writer.add_message(channel, index, data, index)
            for number in strange:
                writer.add_message(number, index, b'\0\1\0\0\1\0\0\0', index)
        writer.finish()
    return path


STRANGE = {
    '/json': ('my.Frame', 'jsonschema', '{"type": "object"}'),
    '/protobuf': ('foxglove.Log', 'protobuf', 'x'),
    '/ros1': ('std_msgs/String', 'ros1msg', 'string data'),
    '/no_schema': ('', '', ''),
    '/idl': ('my_msgs/msg/Frame', 'ros2idl', 'module my_msgs { struct'),
    '/odd': ('my_msgs/msg/Odd', 'ros2msg', 'uint32 Number-2'),
    '/code': ('os/msg/system', 'ros2msg', ''),
    '/our/pose': ('geometry_msgs/msg/PoseStamped', 'ros2msg', 'float64 x'),
}


def test_topics_of_types_that_cannot_be_read_are_left_out_by_name(
    analyzer: Any, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    source = _mcap(tmp_path / 'in.mcap', pictures[:3], STRANGE)
    analyzer.reset()
    summary = annotate_bag(analyzer, BagOptions(source, tmp_path / 'out'))
    assert (summary.images, summary.faces) == (3, 2)
    assert summary.left_out == [topic for topic in STRANGE if topic != '/our/pose']
    assert len(messages(tmp_path / 'out', '/head_pose')) == 2


@pytest.mark.parametrize('storage', STORAGES)
@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_damaged_bag_is_read_or_one_error(
    storage: str, data: Any, small: dict[str, Path], tmp_path: Path
) -> None:
    whole = small[storage].read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=40))
    cut = data.draw(st.booleans())
    broken = tmp_path / f'broken{small[storage].suffix}'
    broken.write_bytes(
        whole[:cut] if cut else whole[:place] + damage + whole[place + len(damage) :]
    )
    with suppress(RecordingError), Recording(broken) as bag:
        for connection, _, content in bag.messages():
            assert connection.topic and content is not None


@pytest.fixture(scope='module')
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp('small')
    files = {}
    for storage in STORAGES:
        bag = Bag(folder / storage, storage)
        for index in range(20):
            bag.write('/chatter', index, String(data=f'word {index}'))
        files[storage] = next(
            file for file in bag.close().iterdir() if file.suffix in ('.mcap', '.db3')
        )
    return files


def test_a_bag_whose_recorder_was_killed_says_what_mends_it(
    small: dict[str, Path], tmp_path: Path
) -> None:
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(small['mcap'].read_bytes()[:-100])
    assert 'mcap recover' in _refusal_of(None, BagOptions(cut, tmp_path / 'out'))


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 3 MB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('storage', STORAGES)
def test_a_full_disk_leaves_a_bag_of_what_fits(
    storage: str, tmp_path: Path, full_disk: None, monkeypatch: Any
) -> None:
    monkeypatch.setattr(bag_writer, '_COMMIT_EVERY', 0.0)
    writer = bag_writer.BagWriter(tmp_path / 'out', STORAGES[storage])
    text, digest = bag_module._described(type_name(String), '')
    topic = writer.add('/chatter', type_name(String), text, digest, [])
    with pytest.raises(BagError, match=r'cannot write .*out: .*; it holds the beginning'):
        for index in range(100):
            writer.write(topic, index, serialize_message(String(data=f'{index:9}' * 12_000)))
    writer.close()
    kept = read(tmp_path / 'out')
    assert 15 < len(kept) < 30
    assert [stamp for _, stamp, _ in kept] == list(range(len(kept)))
    assert all(data == serialize_message(String(data=f'{i:9}' * 12_000)) for _, i, data in kept)


@pytest.mark.parametrize('storage', STORAGES)
def test_a_killed_copy_holds_the_beginning(storage: str, tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin
from std_msgs.msg import String
from headpose_ros.tools import bag, bag_writer
bag_writer._COMMIT_EVERY = 0.0
writer = bag_writer.BagWriter(Path('out'), StoragePlugin.{STORAGES[storage].name})
kind = 'std_msgs/msg/String'
topic = writer.add('/chatter', kind, *bag._described(kind, ''), [])
for index in range(50):
    writer.write(topic, index, serialize_message(String(data='x' * 100_000)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path])}
    words = [sys.executable, '-c', program]
    done = subprocess.run(words, cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert _left_in(tmp_path / 'out') >= 40


def _left_in(folder: Path) -> int:
    """Count the messages that other programs find in an unfinished file."""
    if files := list(folder.glob('*.db3')):
        with closing(sqlite3.connect(files[0])) as database:
            return int(database.execute('SELECT count(*) FROM messages').fetchone()[0])
    reader = pytest.importorskip('mcap.stream_reader', reason='pip install mcap')
    records = pytest.importorskip('mcap.records')
    with next(folder.glob('*.mcap')).open('rb') as stream, suppress(Exception):
        found = 0
        for record in reader.StreamReader(stream).records:
            found += isinstance(record, records.Message)
    return found
