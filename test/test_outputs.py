"""What is published of one camera's faces, over real DDS."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Quaternion, Transform, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import FRONTAL
from headpose_ros.msg import Faces
from headpose_ros.perception.faces import Face
from headpose_ros.perception.sizes import FaceSizes
from headpose_ros.ros.node import qos
from headpose_ros.ros.output.cloud import landmark_cloud
from headpose_ros.ros.output.face_publisher import FacePublisher, OutputOptions
from headpose_ros.ros.output.messages import located
from headpose_ros.ros.output.tf import face_frames, frame_problem

CAMERA = CameraModel(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(0))
SIZE = (640, 480)
HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id='optical')
KINDS = {
    'faces': Faces,
    'head_pose': PoseStamped,
    'markers': MarkerArray,
    'landmarks': PointCloud2,
}


def face(name='f1', place=(0.0, 0.0, 0.8)):
    points = mean_face() @ FRONTAL.T + np.array(place)
    pixels = points[:, :2] / points[:, 2:] * 600 + [320, 240]
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    box, ones = np.concatenate([low, high - low]), np.ones(68)
    found = Face(name, box, FRONTAL, pixels, ones, 0.9 * ones, 0.8, position=np.array(place))
    return FaceSizes().apply(found, None)


def read(cloud):
    """Return x, y, z, visibility (N, 4) and the faces (N,) of a cloud, by its own fields."""
    rows = np.frombuffer(cloud.data, np.uint8).reshape(-1, cloud.point_step)
    columns = {f.name: rows[:, f.offset : f.offset + 4].copy() for f in cloud.fields}
    numbers = [columns[name].view('<f4')[:, 0] for name in ('x', 'y', 'z', 'visibility')]
    return np.stack(numbers, axis=1), columns['face'].view('<u4')[:, 0]


def test_the_cloud_holds_all_landmarks_of_all_faces_where_they_are():
    places = [(0.1, 0.0, 0.6), (-0.3, 0.1, 1.5)]
    faces = [located(face(f'f{n}', place), CAMERA) for n, place in enumerate(places)]
    unplaced = located(replace(face(), position=None), CAMERA)
    cloud = landmark_cloud(HEADER, [faces[0], unplaced, faces[1]])
    points, owners = read(cloud)
    assert (cloud.header, cloud.height, cloud.width) == (HEADER, 1, 136)
    assert cloud.row_step == 136 * cloud.point_step == len(cloud.data)
    assert owners.tolist() == [0] * 68 + [2] * 68
    for place, found in zip(places, (points[:68], points[68:]), strict=True):
        assert found[:, :3] == pytest.approx(mean_face() @ FRONTAL.T + place, abs=1e-4)
    assert (points[:, 3] == 1).all()
    assert cloud.is_dense is True


def test_a_cloud_with_a_point_that_is_nowhere_is_not_dense():
    placed = located(replace(face(), position=np.array([0.0, np.nan, 0.8])), CAMERA)
    assert landmark_cloud(HEADER, [placed]).is_dense is False


def test_without_faces_the_cloud_is_empty():
    cloud = landmark_cloud(HEADER, [])
    assert (cloud.width, len(cloud.data), len(cloud.fields)) == (0, 0, 5)
    assert cloud.is_dense is True


class Rig:
    """Publishes faces and listens to topics, in one node."""

    def __init__(self, spin_until, options, prefix='', topics=(*KINDS, '/tf')):
        self.node = rclpy.create_node('test_outputs')
        self.outputs = FacePublisher(self.node, options, prefix)
        self.received = {topic: [] for topic in topics}
        for topic, store in self.received.items():
            kind = KINDS.get(topic, TFMessage)
            name = topic if topic.startswith('/') else prefix + topic
            self.node.create_subscription(kind, name, store.append, qos.reliable())
        self._spin_until = spin_until

    def publish_until(self, predicate, faces=None, camera=CAMERA, header=HEADER, timeout=60.0):
        faces = [face()] if faces is None else faces

        def done():
            self.published = self.outputs.publish(header, SIZE, faces, camera)
            return predicate()

        return self._spin_until(self.node, done, timeout)


@pytest.fixture
def rig(ros, spin_until):
    rigs = []

    def make(options, **arguments):
        rigs.append(Rig(spin_until, options, **arguments))
        return rigs[-1]

    yield make
    for item in rigs:
        item.outputs.destroy()
        item.node.destroy_node()


@pytest.mark.parametrize('prefix', ['', 'left/'])
def test_every_topic_carries_the_stamp_and_the_frame_of_the_image(rig, prefix):
    here = rig(OutputOptions(), prefix=prefix)
    assert here.publish_until(lambda: all(here.received.values()))
    for topic in ('faces', 'head_pose', 'landmarks'):
        assert here.received[topic][-1].header == HEADER, topic
    assert all(m.header == HEADER for m in here.received['markers'][-1].markers)
    transforms = here.received['/tf'][-1].transforms
    assert [t.child_frame_id for t in transforms] == ['face_f1', 'gaze_f1']
    assert all(t.header == HEADER for t in transforms)


def test_what_is_switched_off_is_not_published(rig):
    here = rig(OutputOptions(tf=False))
    assert here.publish_until(lambda: len(here.received['faces']) > 5)
    assert not here.received['/tf']


def test_nothing_is_made_that_nobody_listens_to(rig, monkeypatch):
    made = []

    def noted(module, name):
        make = getattr(sys.modules[f'headpose_ros.ros.{module}'], name)
        monkeypatch.setattr(
            f'headpose_ros.ros.{module}.{name}', lambda *args: made.append(name) or make(*args)
        )

    for name in ('faces_message', 'main_face_message', 'landmark_cloud'):
        noted('output.face_publisher', name)
    noted('output.messages', 'lift')
    noted('output.tf', 'face_transform')
    monkeypatch.setattr(
        'headpose_ros.ros.output.markers.FaceMarkers.message', lambda *_: made.append('markers')
    )
    here = rig(OutputOptions(), topics=['head_pose'])
    assert here.publish_until(lambda: here.received['head_pose'])
    assert set(made) == {'main_face_message'}


@pytest.mark.parametrize('frame', ['', '/', '//', 'face_f1', '/gaze_f123'])
def test_nothing_goes_below_a_frame_that_can_have_no_faces(rig, frame):
    here, header = rig(OutputOptions()), Header(stamp=HEADER.stamp, frame_id=frame)
    others = [topic for topic in here.received if topic != '/tf']
    assert here.publish_until(
        lambda: all(len(here.received[topic]) > 5 for topic in others), header=header
    )
    assert not here.received['/tf']
    assert here.received['faces'][-1].header == header
    assert 'no face has a frame on /tf; set frame_id' in frame_problem(frame)


def test_tf_has_no_slash_in_front_and_messages_the_frame_of_the_image(rig):
    here, header = rig(OutputOptions()), Header(stamp=HEADER.stamp, frame_id='/optical')
    assert here.publish_until(lambda: all(here.received.values()), header=header)
    assert {t.header.frame_id for t in here.received['/tf'][-1].transforms} == {'optical'}
    assert here.received['faces'][-1].header == header
    assert "frame_id is '/optical': tf2 has no names that begin with a slash" in frame_problem(
        '/optical'
    )


@pytest.mark.parametrize('frame', ['optical', 'face_camera', 'a/b', 'x' * 10_000, 'ümlaut'])
def test_any_other_frame_has_faces_and_no_problem(frame):
    assert frame_problem(frame) == ''
    placed = [located(face(), CAMERA)]
    frames = face_frames(Header(stamp=HEADER.stamp, frame_id=frame), placed).transforms
    assert [t.header.frame_id for t in frames] == [frame] * 2


@pytest.mark.parametrize(('frame', 'output'), [('optical', '/optical'), ('/optical', 'optical')])
def test_the_frame_of_the_camera_needs_no_transform(rig, frame, output):
    here = rig(OutputOptions(frame=output))
    header = Header(stamp=HEADER.stamp, frame_id=frame)
    assert here.publish_until(lambda: all(here.received.values()), header=header)
    assert here.received['head_pose'][-1].header.frame_id == 'optical'


def static_transform(parent, child):
    """x of the child ahead along the parent's z: REP 103's body axes from optical ones."""
    turn = Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)
    return TransformStamped(
        header=Header(frame_id=parent),
        child_frame_id=child,
        transform=Transform(translation=Vector3(x=1.0, y=0.0, z=0.5), rotation=turn),
    )


def send_static(node, *transforms):
    profile = qos.reliable()
    profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    publisher = node.create_publisher(TFMessage, '/tf_static', profile)
    publisher.publish(TFMessage(transforms=list(transforms)))
    return publisher


def test_poses_come_in_the_output_frame_and_tf_stays_below_the_camera(rig):
    here = rig(OutputOptions(frame='base_link'))
    kept = send_static(here.node, static_transform('base_link', 'optical'))
    faces = [face(place=(0.1, 0.2, 0.8))]
    assert here.publish_until(lambda: all(here.received.values()), faces)
    assert kept is not None
    assert here.published
    message = here.received['faces'][-1]
    assert (message.header.frame_id, message.header.stamp) == ('base_link', HEADER.stamp)
    for pose in (message.faces[0].head_pose.pose.pose, here.received['head_pose'][-1].pose):
        place = pose.position
        assert (place.x, place.y, place.z) == pytest.approx((1.8, -0.1, 0.3), abs=1e-6)
    points, _ = read(here.received['landmarks'][-1])
    assert points[27, :3] == pytest.approx([1.8, -0.1, 0.3], abs=1e-3)
    assert {m.header.frame_id for m in here.received['markers'][-1].markers} == {'base_link'}
    transform = here.received['/tf'][-1].transforms[0]
    assert transform.header.frame_id == 'optical'
    assert transform.transform.translation.z == pytest.approx(0.8)


class Log:
    """A node's logger that remembers."""

    def __init__(self):
        self.lines = []

    def warning(self, text, **_):
        self.lines.append(text)
        return True


def test_a_missing_output_frame_is_named_once_and_no_pose_is_published(rig, monkeypatch):
    here, log = rig(OutputOptions(frame='base_link')), Log()
    monkeypatch.setattr(here.outputs, '_log', log)
    kept = send_static(here.node, static_transform('odom', 'optical'))
    end = time.monotonic() + 3.0
    assert here.publish_until(
        lambda: len(here.received['/tf']) > 5 and (log.lines and time.monotonic() > end)
    )
    assert kept is not None
    assert not here.published
    assert not any(here.received[topic] for topic in KINDS)
    assert len(log.lines) <= 2  # before the first transform came optical was missing, too
    assert log.lines[-1].startswith('no transform from optical to base_link: base_link is not in')
    assert log.lines[-1].endswith('no poses are published')


def test_images_without_a_frame_have_no_output_frame(rig, monkeypatch):
    here, log = rig(OutputOptions(frame='base_link')), Log()
    monkeypatch.setattr(here.outputs, '_log', log)
    for frame in ('', '', '/'):
        header = Header(stamp=HEADER.stamp, frame_id=frame)
        assert not here.outputs.publish(header, SIZE, [face()], CAMERA)
    assert log.lines == [
        'no transform to base_link: images have no frame_id; no poses are published'
    ]


def test_frames_that_change_with_every_image_do_not_fill_the_log(ros, capfd):
    node = rclpy.create_node('test_outputs')
    outputs = FacePublisher(node, OutputOptions(frame='base_link'))
    for number in range(50):
        header = Header(stamp=HEADER.stamp, frame_id=f'camera_{number % 2}')
        assert not outputs.publish(header, SIZE, [face()], CAMERA)
    outputs.destroy()
    node.destroy_node()
    assert ''.join(capfd.readouterr()).count('no transform from') == 1


def test_destroying_withdraws_all_topics(ros):
    node = rclpy.create_node('test_outputs')
    before = len(list(node.publishers)), len(list(node.subscriptions))
    FacePublisher(node, OutputOptions(frame='base_link')).destroy()
    assert (len(list(node.publishers)), len(list(node.subscriptions))) == before
    node.destroy_node()
