import shutil

import numpy as np
import pytest
from conftest import project
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import geodesic, matrix_from_aflw

from headpose_training.data.augment import Augmentation, cut, mirror, occlude
from headpose_training.data.face_model import FaceModel, weak_perspective_rotation
from headpose_training.data.module import FaceCrops
from headpose_training.data.real_faces import JUDGE_SETS, TRAIN_SETS, read_real_faces
from headpose_training.errors import TrainingError


def plain(face):
    return cut(face, CropWindow.around_landmarks(face.landmarks), 128)


def pose_of(points):
    """Return the camera-aligned rotation that (68, 2) points of the drawn faces show."""
    from headpose_ros.geometry.face_shape import mean_face
    from headpose_ros.geometry.rotations import FRONTAL

    return weak_perspective_rotation(mean_face() @ FRONTAL.T, points)


def test_reads_sets_apart(real_faces):
    train, judge = (read_real_faces(real_faces, sets) for sets in (TRAIN_SETS, JUDGE_SETS))
    assert (len(train), len(judge)) == (16, 8)
    assert not {face.name for face in train} & {face.name for face in judge}


def test_labels_follow_the_stated_convention(real_faces):
    for face in read_real_faces(real_faces, TRAIN_SETS):
        assert np.degrees(geodesic(pose_of(face.landmarks), face.rotation)) < 0.1


@pytest.mark.parametrize('broken', ['index.csv', 'landmarks68.npy', 'images/face_0.jpg'])
def test_missing_file_is_named(real_faces, tmp_path, broken):
    folder = shutil.copytree(real_faces, tmp_path / 'copy')
    (folder / broken).unlink()
    with pytest.raises(TrainingError, match=broken.split('/')[-1]):
        read_real_faces(folder, TRAIN_SETS)


def test_nan_landmarks_are_refused(real_faces, tmp_path):
    folder = shutil.copytree(real_faces, tmp_path / 'copy')
    points = np.load(folder / 'landmarks68.npy')
    points[3, 5] = np.nan
    np.save(folder / 'landmarks68.npy', points)
    with pytest.raises(TrainingError, match=r'not finite.*face_3\.jpg'):
        read_real_faces(folder, TRAIN_SETS)


def test_unknown_set_lists_the_known(real_faces):
    with pytest.raises(TrainingError, match='afw'):
        read_real_faces(real_faces, ['ibug'])


def test_mirrored_labels_describe_the_mirrored_face(real_faces):
    for face in read_real_faces(real_faces, TRAIN_SETS):
        crop = mirror(plain(face))
        assert np.degrees(geodesic(pose_of(crop.points), crop.rotation)) < 0.5


def test_augmented_labels_describe_the_turned_face(real_faces):
    rng = np.random.default_rng(0)
    for face in read_real_faces(real_faces, TRAIN_SETS):
        crop = Augmentation()(face, 128, rng)
        assert crop.image.shape == (128, 128, 3)
        assert crop.image.dtype == np.uint8
        assert np.degrees(geodesic(pose_of(crop.points), crop.rotation)) < 0.5


def test_occluder_hides_the_points_under_it():
    image = np.zeros((64, 64, 3), np.uint8)
    points = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1).reshape(-1, 2)
    covered_image, covered = occlude(image, (points + 0.5) / 64, np.random.default_rng(3))
    changed = covered_image.any(axis=2).ravel()
    assert covered.any()
    assert not (changed & ~covered).any()


def test_head_hides_the_far_side(head_model):
    head = FaceModel.load(head_model)
    frontal = head.visible(np.eye(3))
    turned = head.visible(matrix_from_aflw(np.radians([0.0, 75.0, 0.0])))
    assert frontal.mean() > 0.85
    # The nose points to the image's left: the person's right cheek, points 0 to 4, is hidden.
    assert not turned[:5].any()
    assert turned[12:17].all()


def test_wrong_npz_is_named(tmp_path):
    path = tmp_path / 'other.npz'
    np.savez(path, x=np.zeros(3))
    with pytest.raises(TrainingError, match=r'other\.npz is not the ICT-FaceKit npz'):
        FaceModel.load(path)


def test_same_seed_same_crop(real_faces, head_model):
    import torch

    faces = read_real_faces(real_faces, TRAIN_SETS)
    crops = FaceCrops(faces, 128, FaceModel.load(head_model), Augmentation())
    images = []
    for _ in range(2):
        torch.manual_seed(7)
        images.append(crops[0]['image'])
    assert torch.equal(*images)


def test_projection_of_the_fixture_is_upright():
    points = project(np.eye(3))
    assert points[8, 1] > points[27, 1]  # the chin is below the sellion
    assert points[45, 0] > points[36, 0]  # the left eye is on the right of the image
