from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.perception.detect import Detection
from headpose_ros.perception.tracking import Tracks, iou


def at(x, y=0.0, side=10.0):
    window = CropWindow(x + side / 2, y + side / 2, side)
    return Detection(np.array([x, y, side, side]), window, 0.9)


def test_iou_golden():
    boxes = [[0, 0, 10, 10]]
    assert iou(boxes, [[0, 0, 10, 10], [5, 0, 10, 10], [10, 0, 5, 5]])[0] == pytest.approx(
        [1, 1 / 3, 0]
    )
    assert iou([], boxes).shape == (0, 1)


def test_ids_follow_their_faces_when_the_order_changes():
    tracks = Tracks()
    tracks.match([at(0), at(100)], limit=8)
    tracks.match([at(101), at(1)], limit=8)
    assert [(t.id, t.box[0]) for t in tracks.active] == [('f1', 0), ('f2', 100)]


def test_windows_are_kept_or_taken_from_the_detector():
    for keep, x in ((True, 0.0), (False, 2.0)):
        tracks = Tracks(keep_windows=keep)
        tracks.match([at(0)], limit=8)
        tracks.match([at(2)], limit=8)
        assert tracks.active[0].box[0] == x


def test_the_cap_prefers_followed_faces_and_then_the_first():
    tracks = Tracks()
    tracks.match([at(0)], limit=2)
    assert tracks.match([at(200), at(300), at(1)], limit=2) == ['f2']
    assert [t.box[0] for t in tracks.active] == [0, 200]


def test_a_face_that_the_detector_misses_is_given_up_in_the_end():
    tracks = Tracks()
    tracks.match([at(0)], limit=8)
    lives = 0
    while tracks.active:
        tracks.match([], limit=8)
        lives += 1
    assert 2 < lives < 20


def test_a_face_seen_again_is_forgiven():
    tracks = Tracks()
    tracks.match([at(0)], limit=8)
    for _ in range(30):
        tracks.match([], limit=8)
        tracks.match([at(0)], limit=8)
    assert [t.id for t in tracks.active] == ['f1']


def test_of_two_tracks_on_one_face_the_older_stays():
    tracks = Tracks()
    tracks.match([at(0), at(50)], limit=8)
    older, newer = tracks.active
    tracks.update([older, replace(newer, box=older.box + 0.5)])
    assert [t.id for t in tracks.active] == ['f1']


@given(st.lists(st.lists(st.integers(0, 4), unique=True, max_size=5), max_size=20))
def test_ids_are_never_reused(frames):
    tracks, ended = Tracks(), set()
    for number, places in enumerate(frames):
        before = {t.id for t in tracks.active}
        tracks.match([at(100.0 * place) for place in places], limit=3)
        now = {t.id for t in tracks.active}
        assert len(now) == len(tracks.active) <= 3
        assert not now & ended
        ended |= before - now
        if number % 7 == 6:
            ended |= now
            tracks.clear()
