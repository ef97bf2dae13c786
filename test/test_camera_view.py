"""Several videos in one analyzer, regions of interest, cameras mounted sideways."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_faces import IMAGE, Head, Scene

from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.camera_view import CameraView, detect_in
from headpose_ros.perception.detect import Detection, Detector
from headpose_ros.perception.frame import Frame, FrameError
from headpose_ros.sources.photograph import photograph


class Spot(Detector):
    """Finds the one white pixel, as a face with the upright window of its side."""

    def require(self, confidence: float) -> None:
        raise NotImplementedError

    def detect(self, image: np.ndarray, quarter_turns: Sequence[int] = ()) -> list[Detection]:
        self.shape = image.shape
        rows, columns = np.nonzero(image[..., 0])
        return [
            Detection(np.array([x - 5.0, y - 7.0, 10.0, 14.0]), CropWindow(x, y, 20.0), 0.5)
            for y, x in zip(rows, columns, strict=True)
        ]


@given(
    place=st.tuples(st.integers(0, 79), st.integers(0, 59)),
    turns=st.integers(0, 3),
    region=st.tuples(*[st.floats(0.0, 0.9)] * 2, *[st.floats(0.01, 1.0)] * 2),
)
def test_what_is_found_in_a_view_lies_where_it_is_in_the_image(place, turns, region):
    image = np.zeros((60, 80, 3), np.uint8)
    image[place[1], place[0]] = 255
    view, spot = CameraView(region, turns), Spot()
    x0, y0, x1, y1 = view.pixels(image.shape)
    found = detect_in(spot, image, view)
    part = (y1 - y0, x1 - x0)
    assert spot.shape[:2] == (part if turns % 2 == 0 else part[::-1])
    assert len(found) == (x0 <= place[0] < x1 and y0 <= place[1] < y1)
    for face in found:
        assert (face.window.center_x, face.window.center_y) == pytest.approx(place, abs=1e-6)
        assert face.box[2:].tolist() == ([10, 14] if turns % 2 == 0 else [14, 10])


def test_a_window_stands_as_the_scene_does():
    image = np.zeros((60, 80, 3), np.uint8)
    image[30, 40] = 255
    # The scene's up is the image's left: a clockwise quarter turn brings it up.
    (face,) = detect_in(Spot(), image, CameraView(quarter_turns=1))
    assert np.cos(face.window.angle) == pytest.approx(0.0, abs=1e-9)
    assert np.sin(face.window.angle) == pytest.approx(-1.0)


def scene(*places):
    heads = [Head(place, (0.0, 0.0), 160.0) for place in places]
    return Scene(heads, np.random.default_rng(0), misses=0.0, ghosts=0.0)


def test_ids_are_unique_over_videos_and_each_keeps_its_own():
    world = scene((640, 360))
    analyzer = Analyzer(world, world)
    seen = []
    for frame in range(6):
        world.time = frame / 30
        videos = [Frame(IMAGE, 10.0 + world.time, video=name) for name in ('left', 'right')]
        seen.append([[face.id for face in faces] for faces in analyzer.track_together(videos)])
    assert all(left + right == ['f1', 'f2'] for left, right in seen[1:])


def test_a_video_that_jumps_back_costs_the_others_nothing():
    world = scene((640, 360))
    analyzer = Analyzer(world, world)
    stamps = [(1.0, 1.0), (1.1, 1.1), (1.2, 0.2), (1.3, 0.3)]
    ids = []
    for left, right in stamps:
        frames = [Frame(IMAGE, left, video='left'), Frame(IMAGE, right, video='right')]
        ids.append([[face.id for face in faces] for faces in analyzer.track_together(frames)])
    assert [left for left, _ in ids[1:]] == [['f1']] * 3
    assert [right for _, right in ids[1:]] == [['f2'], [], ['f3']]


def test_a_bad_frame_is_refused_before_any_is_used():
    world = scene((640, 360))
    analyzer = Analyzer(world, world)
    with pytest.raises(FrameError):
        analyzer.track_together([Frame(IMAGE, 1.0, video='a'), Frame(IMAGE, np.nan, video='b')])
    assert world.looks == 0


def test_faces_outside_of_the_region_are_not_reported():
    world = scene((320, 360), (960, 360))
    analyzer = Analyzer(world, world)
    for frame in range(4):
        both = analyzer.track(IMAGE, 1.0 + frame / 30)
    analyzer.set_view(CameraView(region=(0.5, 0.0, 0.5, 1.0)))
    faces = analyzer.track(IMAGE, 1.2)
    assert len(both) == 2
    assert [face.box[0] > 640 for face in faces] == [True]


def test_real_faces_of_a_sideways_camera_are_those_of_its_own_images():
    import headpose_ros

    upright = photograph()
    sideways = np.ascontiguousarray(np.rot90(upright))  # the scene's up is the image's left
    analyze = headpose_ros.load(device='cpu')
    stamps = itertools.count(1.0, 1 / 30)
    plain = [analyze.track(sideways, next(stamps)) for _ in range(3)][-1][0]
    analyze.reset()
    analyze.set_view(CameraView(quarter_turns=1))
    turned = [analyze.track(sideways, next(stamps)) for _ in range(3)][-1][0]
    side = turned.box[2:].max() * LANDMARK_BOX_MARGIN
    assert np.abs(turned.landmarks - plain.landmarks).max() < 0.05 * side
    assert turned.rotation == pytest.approx(plain.rotation, abs=0.1)


def test_a_face_that_jumps_is_found_again_in_the_same_frame():
    world = scene((320, 360))
    analyzer = Analyzer(world, world)
    before = [analyzer.track(IMAGE, 1.0 + frame / 30) for frame in range(3)][-1]
    world.heads[0].start = (1000, 300)
    after = analyzer.track(IMAGE, 1.1)
    assert len(before) == 1
    assert world.looks == 2
    assert not after  # not confirmed yet
    assert len(analyzer.track(IMAGE, 1.133)) == 1
