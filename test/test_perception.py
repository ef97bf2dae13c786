"""From image to faces, on a real photograph, without ROS."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_models import write_small

import headpose_ros
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow
from headpose_ros.geometry.landmarks import SCHEMES
from headpose_ros.geometry.rotations import (
    face_from_aligned,
    geodesic,
    in_plane,
    matrix_from_aflw,
    toward,
)
from headpose_ros.models.registry import MODELS
from headpose_ros.models.weights import load_model
from headpose_ros.perception.detect import Detection, DetectorError, YuNetDetector, find_yunet
from headpose_ros.perception.draw import draw_faces
from headpose_ros.perception.frame import FrameError
from headpose_ros.perception.infer import Estimate, FaceNetwork, best_quarter_turn
from headpose_ros.perception.smoothing import SmoothingOptions
from headpose_ros.perception.tracking import TrackingOptions
from headpose_ros.perception.yunet import OnnxYuNet, OpenCvYuNet
from headpose_ros.sources.photograph import photograph

ROOT = Path(__file__).parents[1]
CAMERA = CameraModel(np.array([[512.0, 0, 255.5], [0, 512, 255.5], [0, 0, 1]]), np.zeros(0))


@pytest.fixture(scope='module')
def photo():
    return photograph()


@pytest.fixture(scope='module')
def analyze():
    return headpose_ros.load(device='cpu')


@pytest.fixture(autouse=True)
def fresh(analyze):
    analyze.reset()
    analyze.configure(TrackingOptions(), SmoothingOptions())


def rolled(photo, degrees):
    """Return the photograph turned clockwise about the face, enlarged a little."""
    matrix = cv2.getRotationMatrix2D((224, 130), -degrees, 1.2)
    matrix[:, 2] += [96, 190]
    return cv2.warpAffine(photo, matrix, (640, 640), borderMode=cv2.BORDER_REPLICATE)


def biggest(faces):
    return max(faces, key=lambda face: face.landmark_confidence.mean())


@pytest.mark.parametrize('quarter_turns', range(4))
def test_detector_s_boxes_are_in_the_image_given(photo, quarter_turns):
    turned = np.ascontiguousarray(np.rot90(photo, quarter_turns))
    found = YuNetDetector().detect(turned)
    face = {0: (224, 125), 1: (125, 287), 2: (287, 386), 3: (386, 224)}[quarter_turns]
    x, y, w, h = found[0].box
    assert (x + w / 2, y + h / 2) == pytest.approx(face, abs=25)


def test_detector_looks_at_turned_copies_when_it_finds_nothing(photo):
    class Blind(YuNetDetector):
        """Sees upright faces only."""

        def _rows(self, image):
            rows = super()._rows(image)
            upright = rows[:, 9] > rows[:, 5] + 5 if len(rows) else []  # nose below the right eye
            return rows[upright] if len(rows) else rows

    turned = np.ascontiguousarray(np.rot90(photo, 1))
    blind = Blind(score_threshold=0.8)
    blind.require(0.93)  # the photograph passes upright, its turned copies do not
    (found,) = blind.detect(turned)
    x, y, w, h = found.box
    assert (x + w / 2, y + h / 2) == pytest.approx((125, 287), abs=25)
    assert np.degrees(found.window.angle) == pytest.approx(-90, abs=10)


def test_both_runtimes_of_the_detector_find_the_same_faces(photo):
    crowd = cv2.hconcat([photo, cv2.resize(photo[:400, 50:450], (384, 512))])
    file = find_yunet().read_bytes()
    for image, count in ((photo, 1), (crowd, 2), (photo[300:, 300:], 0), (photo[:5, :7], 0)):
        found = []
        for kind in (OpenCvYuNet, OnnxYuNet):
            rows = kind(file, 'the file', 0.9).rows(np.ascontiguousarray(image))
            assert rows.shape == (count, 15)
            found.append(rows[rows[:, 0].argsort()])
        assert np.allclose(*found, atol=0.01)


def test_a_detector_file_for_one_size_of_image_runs_by_opencv(photo, tmp_path, caplog):
    onnx = pytest.importorskip('onnx', reason='it writes the file')
    model = onnx.load(str(find_yunet()))
    for axis, side in ((2, 640), (3, 640)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    onnx.save(model, str(tmp_path / 'fixed.onnx'))
    with caplog.at_level('INFO', logger='headpose_ros'):
        assert len(YuNetDetector(str(tmp_path / 'fixed.onnx')).detect(photo)) == 1
    assert 'by OpenCV' in caplog.text
    assert '640 rows only' in caplog.text


def test_an_estimate_that_is_no_number_loses_the_face_for_that_frame(analyze, photo, monkeypatch):
    (before,) = settled(analyze, photo)
    run = analyze.network.backends.run

    def broken(crops):
        return {name: np.full_like(values, np.nan) for name, values in run(crops).items()}

    with monkeypatch.context() as patch:
        patch.setattr(analyze.network.backends, 'run', broken)
        assert analyze.track(photo, 0.1) == []
    (after,) = analyze.track(photo, 0.2)
    assert after.id == before.id
    assert np.isfinite(after.landmarks).all()


@pytest.mark.parametrize('yaw', [-110, -90, 0, 90, 110])
def test_the_next_window_turns_with_the_head_in_profile_too(yaw):
    """From beyond profile the line through the eyes runs backwards."""
    turned = in_plane(np.radians(25)) @ matrix_from_aflw(np.radians([10, yaw, 0]))
    points = np.random.default_rng(0).uniform(0, 100, (68, 2))
    estimate = Estimate(face_from_aligned(turned), points, *np.ones((2, 68)), np.zeros(0))
    assert np.degrees(estimate.window.angle) == pytest.approx(25)


@pytest.mark.parametrize(
    'confidences, errors, best',
    [
        ([0.5, 0.6, 0.4, 0.3], [np.nan] * 4, 1),
        ([0.5, 0.6, 0.4, 0.3], [0.1, 0.5, 0.6, 0.6], 0),
        ([0.5, 0.1, 0.4, 0.3], [0.3, 0.2, 0.6, 0.6], 0),
    ],
)
def test_the_surest_turn_is_that_of_sure_landmarks_and_a_small_expected_error(
    confidences, errors, best
):
    class Network:
        def estimate(self, image, windows):
            assert np.degrees([w.angle for w in windows]) == pytest.approx([0, 90, 180, -90])
            return [
                Estimate(
                    np.eye(3),
                    np.zeros((68, 2)),
                    np.ones(68),
                    np.full(68, confidence),
                    np.zeros(0),
                    rotation_error=error,
                )
                for confidence, error in zip(confidences, errors, strict=True)
            ]

    window = CropWindow(8, 8, 16)
    chosen = best_quarter_turn(
        Network(), np.zeros((16, 16, 3), np.uint8), window, np.array([8.0, 8.0])
    )
    assert chosen.sureness == pytest.approx(confidences[best])


def test_a_missing_detector_file_is_named():
    with pytest.raises(DetectorError, match=r'no face detector model at .*nowhere'):
        find_yunet('nowhere.onnx')


def test_wrong_detector_file_is_refused(tmp_path):
    path = tmp_path / 'x.onnx'
    path.write_bytes(b'no model')
    with pytest.raises(DetectorError, match='cannot load the face detector'):
        YuNetDetector(str(path))


def test_a_real_face(analyze, photo):
    (face,) = analyze(photo)
    assert face.landmarks.shape == (68, 2)
    assert face.visibility.shape == face.landmark_confidence.shape == (68,)
    assert face.landmark_confidence.mean() > 0.7
    assert face.box == pytest.approx([178, 87, 93, 91], abs=12)
    assert face.landmarks[36:48].mean(axis=0) == pytest.approx([223, 102], abs=6)
    assert np.linalg.det(face.rotation) == pytest.approx(1)
    assert np.abs(np.degrees(face.pitch_yaw_roll)).max() < 15
    assert face.rotation[2, 0] < -0.9  # x out of the face, towards the camera
    json.dumps(face.as_dict(), allow_nan=False)


@pytest.mark.parametrize('degrees', range(-180, 180, 30))
def test_roll_is_followed_all_the_way_round(analyze, photo, degrees):
    upright = biggest(analyze(rolled(photo, 0)))
    turned = biggest(analyze(rolled(photo, degrees)))
    expected = in_plane(np.radians(degrees)) @ upright.rotation
    assert np.degrees(geodesic(turned.rotation, expected)) < 6


def test_mirror_image_has_the_mirrored_pose(analyze, photo):
    (face,) = analyze(photo)
    (mirrored,) = analyze(np.ascontiguousarray(photo[:, ::-1]))
    pitch, yaw, roll = np.degrees(face.pitch_yaw_roll)
    # How near they come is the weights' matter; a crop off by a pixel would turn the yaw, too.
    assert np.degrees(mirrored.pitch_yaw_roll) == pytest.approx([pitch, -yaw, -roll], abs=8)


def test_face_at_the_border(analyze, photo):
    (face,) = analyze(np.ascontiguousarray(photo[80:300, 150:]))
    assert np.abs(np.degrees(face.pitch_yaw_roll)).max() < 25


def test_two_people(analyze, photo):
    faces = analyze(np.hstack([photo, photo]))
    assert len({face.id for face in faces}) == 2
    assert abs(faces[0].box[0] - faces[1].box[0]) == pytest.approx(512, abs=6)


def test_nobody(analyze):
    assert analyze(np.full((240, 320, 3), 128, np.uint8)) == []


@pytest.mark.parametrize('shape', [(1, 1, 3), (3, 2000, 3), (1, 5000, 3), (16384, 3, 3), (5, 5, 3)])
def test_odd_sizes_are_survived(analyze, shape):
    assert analyze(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((1, 20000, 3), np.uint8),
        None,
    ],
)
def test_wrong_images_are_refused(analyze, image):
    with pytest.raises(FrameError, match='the image'):
        analyze(image)


def settled(analyze, photo, start=0.0, **options):
    """Return the faces of a photograph once they are confirmed."""
    analyze.track(photo, start, **options)
    return analyze.track(photo, start + 1 / 30, **options)


def test_track_keeps_the_id_and_spares_the_detector(analyze, photo):
    ids, detections = [], 0
    for index in range(15):
        faces = analyze.track(rolled(photo, 2 * index), stamp=index / 30)
        ids += [face.id for face in faces]
        detections += analyze.times.detect > 0
    assert len(ids) == 14  # confirmed by the second frame
    assert len(set(ids)) == 1
    assert detections == 2  # the first frame, and ten frames later


@pytest.mark.parametrize(('away', 'same'), [(0.5, True), (3.0, False)])
def test_a_lost_face_keeps_its_id_for_a_while(analyze, photo, away, same):
    (before,) = settled(analyze, photo)
    for stamp in np.arange(0.1, away, 0.1):
        assert analyze.track(np.full_like(photo, 90), stamp) == []
    (after,) = settled(analyze, photo, away)
    assert (after.id == before.id) is same


def test_a_clock_that_jumps_back_forgets_the_faces(analyze, photo):
    (before,) = settled(analyze, photo, 100.0)
    assert analyze.track(photo, 1.0) == []
    assert analyze.times.detect > 0
    (after,) = analyze.track(photo, 1.1)
    assert after.id != before.id


def test_a_video_is_smoothed_and_its_raw_poses_are_kept(analyze, photo):
    for index in range(20):
        image = rolled(photo, 3 * (index % 2))
        faces = analyze.track(image, index / 30, CAMERA)
    (face,) = faces
    assert geodesic(face.rotation, face.raw.rotation) > 1e-4
    assert face.position == pytest.approx(face.raw.position, rel=0.05)
    assert np.linalg.norm(face.twist.angular) < 1.0
    analyze.configure(analyze.tracking, replace(analyze.smoothing, enabled=False))
    (unsmoothed,) = analyze.track(image, 20 / 30, CAMERA)
    assert unsmoothed.raw is None and unsmoothed.twist is None
    assert unsmoothed.id == face.id


def test_a_calibrated_camera_turns_the_face_by_its_viewing_ray(analyze, photo):
    (bare,) = analyze(photo)
    aside = CameraModel(CAMERA.K - np.array([[0, 0, 512], [0, 0, 0], [0, 0, 0]]), np.zeros(0))
    for camera in (CAMERA, aside):
        (face,) = analyze(photo, camera)
        sight = face.position / np.linalg.norm(face.position)
        # The sellion is not quite the middle of the landmarks.
        assert np.degrees(geodesic(face.rotation, toward(sight) @ bare.rotation)) < 4
    assert np.degrees(geodesic(face.rotation, bare.rotation)) > 40
    assert bare.position is None


def test_calibration_that_comes_later_does_not_blend_two_frames(analyze, photo):
    aside = CameraModel(CAMERA.K - np.array([[0, 0, 512], [0, 0, 0], [0, 0, 0]]), np.zeros(0))
    settled(analyze, photo)
    (first,) = analyze.track(photo, 0.1, aside)
    (again,) = analyze(photo, aside)
    assert np.degrees(geodesic(first.rotation, again.rotation)) < 3


def test_another_calibration_does_not_blend_two_frames(analyze, photo):
    aside = CameraModel(CAMERA.K - np.array([[0, 0, 512], [0, 0, 0], [0, 0, 0]]), np.zeros(0))
    for index in range(5):
        analyze.track(photo, index / 30, aside)
    (first,) = analyze.track(photo, 0.2, CAMERA)
    (again,) = analyze(photo, CAMERA)
    assert geodesic(first.rotation, first.raw.rotation) < 1e-6
    assert np.degrees(geodesic(first.rotation, again.rotation)) < 3
    assert first.position == pytest.approx(again.position, rel=0.02, abs=0.01)


def test_a_part_of_the_picture_and_a_refined_calibration_are_smoothed_on(analyze, photo):
    for index in range(5):
        faces = analyze.track(np.roll(photo, index % 2, axis=1), index / 30, CAMERA)
    (before,) = faces
    part = np.ascontiguousarray(photo[16:, 32:])
    refined = CameraModel(1.002 * CAMERA.K, np.zeros(0))
    for index, (image, camera) in enumerate([(part, CAMERA.of_part((32, 16))), (photo, refined)]):
        (face,) = analyze.track(image, (5 + index) / 30, camera)
        assert face.id == before.id
        assert geodesic(face.rotation, face.raw.rotation) > 1e-6
        assert face.position == pytest.approx(before.position, rel=0.03, abs=0.01)


def test_a_stamp_that_is_no_time_is_refused(analyze, photo):
    with pytest.raises(FrameError, match='stamp'):
        analyze.track(photo, float('nan'))


@pytest.mark.parametrize('name', MODELS)
def test_every_network_runs_and_speaks_ibug68(name, photo, tmp_path):
    analyze = headpose_ros.load(str(write_small(name, tmp_path)), device='cpu')
    (face,) = analyze(photo)
    assert np.allclose(face.rotation @ face.rotation.T, np.eye(3), atol=1e-5)
    count = 68 if MODELS[name].landmarks else 0
    assert face.landmarks.shape == (count, 2)
    assert face.visibility.shape == face.landmark_confidence.shape == (count,)
    lacking = set(range(count)) - set(SCHEMES[MODELS[name].scheme])
    assert not face.landmark_confidence[list(lacking)].any()


def test_depth_is_in_px_of_the_image(photo, tmp_path):
    network = FaceNetwork(load_model(str(write_small('parts3d', tmp_path))), 'cpu')
    flat = np.zeros((32, 32, 3), np.uint8)  # looks the same at any size
    one, two = (network.estimate(flat, [CropWindow(16, 16, side)])[0].depth for side in (90, 180))
    assert one.shape == (68,)
    assert two == pytest.approx(2 * one)


def test_a_network_of_wider_crops_sees_wider_windows(photo, tmp_path):
    model = load_model(str(write_small('hopenet', tmp_path)))
    house, wide = (
        FaceNetwork(replace(model, spec=replace(model.spec, margin=margin)), 'cpu')
        for margin in (LANDMARK_BOX_MARGIN, 2 * LANDMARK_BOX_MARGIN)
    )
    small, large = CropWindow(224, 130, 100), CropWindow(224, 130, 200)
    seen_wide = wide.estimate(photo, [small])[0].rotation
    assert seen_wide == pytest.approx(house.estimate(photo, [large])[0].rotation)
    assert seen_wide != pytest.approx(house.estimate(photo, [small])[0].rotation)


def test_the_network_tells_faces_from_background(analyze, photo):
    rng = np.random.default_rng(0)
    places = rng.uniform([330, 230, 60], [480, 480, 160], (20, 3))
    background = analyze.network.estimate(photo, [CropWindow(*place) for place in places])
    assert np.median([e.landmark_confidence.mean() for e in background]) < 0.5


def test_the_network_has_the_last_word_on_what_a_detector_finds(analyze, photo, monkeypatch):
    (face,) = analyze.detector.detect(photo)
    # Parts of the suit and of the flag, larger than the face: they come first under a cap.
    lamps = [
        Detection(np.array([x - 90, y - 90, 180, 180.0]), CropWindow(x, y, 180.0), 0.9995)
        for x, y in [(400.0, 300.0), (420.0, 420.0), (100.0, 400.0), (60.0, 120.0)]
    ]
    monkeypatch.setattr(analyze.detector, 'detect', lambda *_: [*lamps, face])
    monkeypatch.setattr(analyze, 'tracking', TrackingOptions(max_faces=1))
    (found,) = analyze(photo)
    assert abs(found.box[:2] + found.box[2:] / 2 - [221, 125]).max() < 40
    assert analyze.left_out() == 0
    monkeypatch.setattr(analyze, 'tracking', TrackingOptions())
    analyze.reset()
    for index in range(3):
        faces = analyze.track(photo, index / 30)
    assert len(faces) == 1


def test_pictures_show_the_axes(analyze, photo):
    drawn = draw_faces(photo, analyze(photo))
    changed = (drawn != photo).any(axis=2)
    assert changed[80:190, 170:280].mean() > 0.05
    assert not changed[300:].any()


def test_import_and_use_need_no_ros():
    code = (
        'import sys, numpy as np, headpose_ros\n'
        "assert 'torch' not in sys.modules, 'import headpose_ros must stay cheap'\n"
        "headpose_ros.load(device='cpu')(np.zeros((64, 64, 3), np.uint8))\n"
        "loaded = [m for m in sys.modules if m.split('.')[0] in ('rclpy', 'sensor_msgs')]\n"
        'assert not loaded, loaded\n'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
