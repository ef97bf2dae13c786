"""The demonstration end to end: real topics, real files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mcap', reason='pip install mcap')
av = pytest.importorskip('av', reason='pip install av')
cv2 = pytest.importorskip('cv2')

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def out(ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demonstration for as long as this machine needs for some frames with a face."""
    for seconds in (5, 20, 60):
        folder = tmp_path_factory.mktemp('demo') / 'out'
        words = ['demo', '--out', str(folder), '--duration', str(seconds), '--device', 'cpu']
        done = subprocess.run(
            [sys.executable, '-m', 'headpose_ros.cli', *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads((folder / 'demo.json').read_text())
        if report['frames_out'] > 5 and report['angle_ranges_deg']:
            break
    return folder


def test_report_accounts_for_every_frame(out: Path) -> None:
    report = json.loads((out / 'demo.json').read_text())
    assert report['frames_out'] > 5
    assert report['frames_refused'] == 0
    assert report['frames_in'] == report['frames_out'] + report['frames_dropped']
    assert {'age', 'decode', 'detect', 'infer', 'publish'} <= set(report['milliseconds'])


def test_angle_ranges_are_those_of_the_pictures(out: Path) -> None:
    lines = np.degrees([line for _, line in eye_lines(out)])
    roll = json.loads((out / 'demo.json').read_text())['angle_ranges_deg']['roll']
    assert roll == pytest.approx([lines.min(), lines.max()], abs=6)


def test_video_has_the_analysed_frames(out: Path) -> None:
    report = json.loads((out / 'demo.json').read_text())
    with av.open(str(out / 'demo.mp4')) as video:
        frames = list(video.decode(video=0))
    assert len(frames) == report['frames_out']
    assert (frames[0].width, frames[0].height) == (640, 480)


def test_contact_sheet_is_a_picture(out: Path) -> None:
    sheet = cv2.imread(str(out / 'demo.png'))
    assert sheet.shape[1] == 4 * 360
    assert sheet.std() > 20


def test_recording_holds_all_topics_with_equal_stamps(out: Path) -> None:
    from headpose_ros.demo.recording import read_messages

    stamps: dict[str, set[tuple[int, int]]] = {}
    for topic, message in read_messages(out / 'demo.mcap'):
        header = message.header if hasattr(message, 'header') else None
        if topic == '/tf':
            header = message.transforms[0].header
        if topic == '/markers':
            header = message.markers[0].header if message.markers else None
        if header is not None:
            stamps.setdefault(topic, set()).add((header.stamp.sec, header.stamp.nanosec))
    images = stamps.pop('/camera/image_raw')
    assert set(stamps) == {'/camera/camera_info', '/faces', '/head_pose', '/markers', '/tf'}
    assert all(times <= images for times in stamps.values())


def test_recording_opens_with_an_independent_reader(out: Path) -> None:
    from mcap.reader import make_reader

    with (out / 'demo.mcap').open('rb') as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    texts = {schema.name: schema.data.decode() for schema in summary.schemas.values()}
    assert all(schema.encoding == 'ros2msg' for schema in summary.schemas.values())
    assert 'MSG: std_msgs/Header' in texts['sensor_msgs/msg/Image']
    assert 'MSG: headpose_ros/FacialLandmarks' in texts['headpose_ros/msg/Faces']
    assert {channel.message_encoding for channel in summary.channels.values()} == {'cdr'}


def eye_lines(out: Path) -> list[tuple[float, float]]:
    """Return the roll of every face and that of the line between its eyes in the picture."""
    from headpose_ros.demo.recording import read_messages
    from headpose_ros.geometry.landmarks import GROUPS

    found = []
    for _, message in read_messages(out / 'demo.mcap', '/faces'):
        for face in message.faces:
            points = np.array(face.landmarks.image_points).reshape(68, 2)
            right, left = (
                points[list(GROUPS[eye])].mean(axis=0) for eye in ('right_eye', 'left_eye')
            )
            found.append((face.head_pose.roll, np.arctan2(*(left - right)[::-1])))
    return found


def test_angles_and_picture_agree(out: Path) -> None:
    """The eye line in the landmarks has the roll that the message states."""
    found = eye_lines(out)
    assert found
    for roll, line in found:
        assert np.degrees(roll - line) == pytest.approx(0, abs=6)
