"""Recorded drives: read from bags, drawn, and shown beside the camera's picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('rosbags', reason='pip install rosbags')
pytest.importorskip('matplotlib', reason='pip install matplotlib')

from std_msgs.msg import Header, String
from test_bag import Bag
from test_driver import LAP, Drive

from headpose_ros import cli
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.ros.output.driver_messages import event_message, state_message
from headpose_ros.tools.drive import RecordingError, Span, read_drive
from headpose_ros.tools.driver_panel import DriverPanel
from headpose_ros.tools.plot_drive import Truth, plot_drive


def recorded(path: Path, storage: str = 'mcap', *topics: str) -> Path:
    """Write a drive: a look at the road, one at the lap, and closed eyes to the end."""
    drive = Drive()
    drive.hold(2.5, *LAP)
    drive.hold(2.0)
    drive.hold(1.5, eyes=0.0)
    bag = Bag(path, storage)
    for topic in topics or ('',):
        for report in drive.reports:
            stamp = round(report.stamp * 1e9)
            header = Header()
            header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
            bag.write(f'{topic}/driver_state', stamp, state_message(header, report))
            for event in report.events:
                bag.write(f'{topic}/driver_events', stamp, event_message(header, event))
    return bag.close()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_drive_is_read_with_signals_states_and_events(tmp_path: Path, storage: str) -> None:
    drive = read_drive(recorded(tmp_path / 'bag', storage))
    assert drive.times[0] == 0.0 and drive.times[-1] == pytest.approx(16.0, abs=0.1)
    assert np.nanmin(drive.signals['elevation']) == pytest.approx(LAP[1], abs=1.0)  # degrees
    assert np.isnan(drive.signals['azimuth'][0])
    (glance,) = [e for e in drive.events if e.kind == 'glance']
    assert glance.zone == 'lap' and not glance.lost
    assert glance.end - glance.onset == pytest.approx(2.5, abs=0.2)
    assert glance.onset + 0.4 < glance.known < glance.end
    # The recording stops with closed eyes.
    (closure,) = [e for e in drive.events if e.kind == 'closure']
    assert closure.lost and closure.end == drive.times[-1]
    assert [s.kind for s in drive.states][:2] == ['unknown', 'attentive']
    assert 'distracted' in [s.kind for s in drive.states]


def test_the_command_draws_a_bag(tmp_path: Path, capsys: Any) -> None:
    bag = recorded(tmp_path / 'bag')
    assert cli.main(['plot', str(bag)]) == 0
    picture = cv2.imread(capsys.readouterr().out.strip())
    assert picture.shape[0] > 600 and picture.std() > 10


def test_the_truth_is_drawn_beside(tmp_path: Path) -> None:
    drive = read_drive(recorded(tmp_path / 'bag'))
    plot_drive(drive, tmp_path / 'alone.png', 'title')
    truth = Truth([Span('yawn', 2.0, 5.0)], drive.times, {'azimuth': 10 * np.sin(drive.times)})
    plot_drive(drive, tmp_path / 'both.png', 'title', truth)
    alone, both = (cv2.imread(str(tmp_path / f'{name}.png')) for name in ('alone', 'both'))
    assert both.shape[0] > alone.shape[0]  # a lane for the yawn that nobody told


def test_what_cannot_be_drawn_is_one_line(tmp_path: Path, capsys: Any) -> None:
    several = recorded(tmp_path / 'several', 'mcap', '/front', '/rear')
    with pytest.raises(RecordingError, match='/front/driver_state, /rear/driver_state'):
        read_drive(several)
    assert read_drive(several, 'rear').events
    with pytest.raises(RecordingError, match='has no /roof/driver_state'):
        read_drive(several, 'roof')
    other = Bag(tmp_path / 'other')
    other.write('/chatter', 1, String(data='word'))
    with pytest.raises(RecordingError, match='has no headpose_ros/msg/DriverState'):
        read_drive(other.close())
    (tmp_path / 'broken.mcap').write_bytes(b'no bag')
    assert cli.main(['plot', str(tmp_path / 'broken.mcap')]) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'broken.mcap' in said


def test_the_panel_shows_state_and_limits() -> None:
    drive = Drive()
    calm = state_message(Header(), drive.hold(0.5))
    off = state_message(Header(), drive.hold(2.5, *LAP))
    told = [Span('glance', 0.5, 3.0, 'lap', 1.0)]
    panel = DriverPanel((320, 240), told, [], 4.0, DriverOptions())
    black = np.zeros((240, 320, 3), np.uint8)
    before, after, none = (panel.draw(black, s, 1.0) for s in (calm, off, None))
    assert before.shape == after.shape == none.shape and before.shape[1] > 600
    assert all(side % 2 == 0 for side in before.shape[:2])
    badge = before[40, -30].tolist(), after[40, -30].tolist()
    assert badge[0][1] > badge[0][2] and badge[1][2] > badge[1][0]  # green, then amber
