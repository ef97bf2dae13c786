"""Released weights: their cards, their checksums, and whether they still see faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from headpose_ros import DEFAULT_MODEL
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.landmarks import OUTER_EYE_CORNERS
from headpose_ros.geometry.rotations import (
    aligned_from_face,
    face_from_aligned,
    geodesic,
    in_plane_angle,
)
from headpose_ros.models.registry import WeightsError
from headpose_ros.models.released import FOLDER, find_weights, pick, released, sha256
from headpose_ros.people.attention import AttentionOptions, points_at
from headpose_ros.perception.faces import Face
from headpose_ros.perception.infer import FaceNetwork

#: 64 rendered faces as easy as those of AFW: `headpose-train pack-rendered`.
FACES = Path(__file__).parent / 'data' / 'rendered_faces.npz'
LARGEST_BYTES = 16e6
CARD = {
    *('data', 'license', 'family', 'command', 'seed', 'machine', 'wall_time', 'metrics'),
    *('bytes', 'sha256', 'onnx'),
}


@pytest.fixture(scope='module')
def faces():
    data = np.load(FACES)
    ends = np.cumsum(data['lengths'])
    images = np.split(data['images'], ends[:-1])
    pictures = [cv2.imdecode(image, cv2.IMREAD_COLOR) for image in images]
    return list(zip(pictures, data['landmarks'].astype(float), data['rotations'], strict=True))


@pytest.mark.parametrize('name', released())
def test_files_match_their_cards(name):
    file, card = FOLDER / f'{name}.safetensors', find_weights(name).card
    assert card.keys() >= CARD
    assert card['sha256'] == sha256(file)
    assert card['bytes'] == file.stat().st_size <= LARGEST_BYTES
    onnx = file.with_suffix('.onnx')
    assert card['onnx'] == {'bytes': onnx.stat().st_size, 'sha256': sha256(onnx)}
    assert card['onnx']['bytes'] <= LARGEST_BYTES
    assert name == f'{card["model"]}_{card["family"]}'
    assert ('research' in card['license']) == (card['family'] == 'research')


@pytest.mark.parametrize('name', released())
def test_weights_are_accurate_on_rendered_faces(name, faces):
    network = FaceNetwork(find_weights(name), 'cpu')
    poses, points = [], []
    for picture, landmarks, rotation in faces:
        window = CropWindow.around_landmarks(landmarks, in_plane_angle(rotation))
        estimate = network.estimate(picture, [window])[0]
        poses.append(np.degrees(geodesic(aligned_from_face(estimate.rotation), rotation)))
        right, left = landmarks[list(OUTER_EYE_CORNERS)]
        errors = np.linalg.norm(estimate.landmarks - landmarks, axis=1)
        points.append(100 * errors.mean() / np.linalg.norm(left - right))
    print(f'{name}: pose {np.mean(poses):.2f} degrees, NME {np.mean(points):.2f} %')
    assert np.mean(poses) < 6.0
    assert np.mean(points) < 6.0


@pytest.mark.parametrize('name', released())
def test_attention_to_the_camera_on_rendered_faces(name, faces):
    """Half of the heads point at the camera, and most point near the border of the cone."""
    network, cone = FaceNetwork(find_weights(name), 'cpu'), AttentionOptions().cone
    none = np.zeros(0)
    found, true = [], []
    for picture, landmarks, rotation in faces:
        window = CropWindow.around_landmarks(landmarks, in_plane_angle(rotation))
        estimate = network.estimate(picture, [window])[0]
        covariance = np.eye(6) * estimate.rotation_error**2 * np.pi / 8
        face = Face(
            *('f1', np.zeros(4), estimate.rotation, none, none, none, 0.9), covariance=covariance
        )
        found.append(points_at(face, np.zeros(3), cone))
        true.append(np.arccos(-face_from_aligned(rotation)[2, 0]) <= cone)
    chosen, true = np.array(found) >= 0.5, np.array(true)
    precision, recall = (chosen & true).sum() / chosen.sum(), (chosen & true).sum() / true.sum()
    brier = np.mean((np.array(found) - true) ** 2)
    print(f'{name}: precision {precision:.2f}, recall {recall:.2f}, Brier score {brier:.3f}')
    assert precision > 0.7
    assert recall > 0.7
    assert brier < 0.15  # 0.25 for one half each time


def test_the_default_may_be_used_by_everybody():
    assert find_weights(DEFAULT_MODEL).card['family'] == 'free'
    assert pick('free') == DEFAULT_MODEL
    assert find_weights(pick('research')).card['family'] == 'research'
    with pytest.raises(WeightsError, match='family'):
        pick('commercial')
