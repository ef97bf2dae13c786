import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.landmarks import can_judge_openness
from headpose_ros.geometry.rotations import geodesic, matrix_from_aflw
from headpose_ros.models.registry import MODELS

from headpose_training.data.augment import (
    COARSE_FACTORS,
    Augmentation,
    coarsen,
    mirror,
    occlude,
    to_twilight,
)
from headpose_training.data.drawn_faces import project
from headpose_training.data.face_model import FaceModel, weak_perspective_rotation
from headpose_training.data.formats import read_faces
from headpose_training.data.labelled_crop import Crop, cut
from headpose_training.data.module import FaceCrops, FaceData
from headpose_training.data.readers.real_faces import JUDGE_SETS, TRAIN_SETS
from headpose_training.data.spoil import spoil
from headpose_training.errors import TrainingError


def plain(face):
    return cut(face, CropWindow.around_landmarks(face.landmarks), 128)


def pose_of(points):
    """Return the camera-aligned rotation that (68, 2) points of the drawn faces show."""
    from headpose_ros.geometry.face_shape import mean_face
    from headpose_ros.geometry.rotations import FRONTAL

    return weak_perspective_rotation(mean_face() @ FRONTAL.T, points)


def test_reads_sets_apart(real_faces):
    train, judge = (read_faces('real_faces', real_faces, sets) for sets in (TRAIN_SETS, JUDGE_SETS))
    assert (len(train), len(judge)) == (16, 8)
    assert not {face.name for face in train} & {face.name for face in judge}


def test_labels_follow_the_stated_convention(real_faces):
    for face in read_faces('real_faces', real_faces, TRAIN_SETS):
        assert np.degrees(geodesic(pose_of(face.landmarks), face.rotation)) < 0.1


@pytest.mark.parametrize('broken', ['index.csv', 'landmarks68.npy'])
def test_missing_file_is_named(real_faces, tmp_path, broken):
    folder = shutil.copytree(real_faces, tmp_path / 'copy')
    (folder / broken).unlink()
    with pytest.raises(TrainingError, match=rf'{broken} is missing; expected index\.csv, land'):
        read_faces('real_faces', folder, TRAIN_SETS)


def test_labels_of_other_number_than_rows_are_refused(real_faces, tmp_path):
    folder = shutil.copytree(real_faces, tmp_path / 'copy')
    np.save(folder / 'landmarks68.npy', np.load(folder / 'landmarks68.npy')[1:])
    with pytest.raises(TrainingError, match=r'shape \(23, 68, 2\), expected \(24, 68, 2\)'):
        read_faces('real_faces', folder, TRAIN_SETS)


def test_index_without_a_pose_is_refused(real_faces, tmp_path):
    folder = shutil.copytree(real_faces, tmp_path / 'copy')
    index = folder / 'index.csv'
    index.write_text(index.read_text().replace('pseudo_yaw_deg', 'yaw'))
    with pytest.raises(TrainingError, match=r"lacks the columns \['pseudo_yaw_deg'\]"):
        read_faces('real_faces', folder, TRAIN_SETS)


def test_broken_face_of_another_set_does_not_matter(real_faces, tmp_path):
    folder = shutil.copytree(real_faces, tmp_path / 'copy')
    (folder / 'images' / 'face_2.jpg').unlink()
    assert len(read_faces('real_faces', folder, TRAIN_SETS)) == 16
    with pytest.raises(TrainingError, match=r'1 of 8 faces are broken, first: face_2\.jpg'):
        read_faces('real_faces', folder, JUDGE_SETS)


def test_unknown_set_lists_the_known(real_faces):
    with pytest.raises(TrainingError, match='afw'):
        read_faces('real_faces', real_faces, ['ibug'])


def test_mirrored_labels_describe_the_mirrored_face(real_faces):
    for face in read_faces('real_faces', real_faces, TRAIN_SETS):
        crop = mirror(plain(face))
        assert np.degrees(geodesic(pose_of(crop.points), crop.rotation)) < 0.5


def test_augmented_labels_describe_the_turned_face(real_faces):
    rng = np.random.default_rng(0)
    for face in read_faces('real_faces', real_faces, TRAIN_SETS):
        window = CropWindow.around_landmarks(face.landmarks)
        crop = Augmentation()(face, window, 128, rng)
        assert crop.image.shape == (128, 128, 3)
        assert crop.image.dtype == np.uint8
        assert np.degrees(geodesic(pose_of(crop.points), crop.rotation)) < 0.5


def test_occluder_hides_the_points_under_it():
    image = np.zeros((64, 64, 3), np.uint8)
    points = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1).reshape(-1, 2)
    covered_image, covers = occlude(image, np.random.default_rng(3))
    changed = covered_image.any(axis=2).ravel()
    covered = covers((points + 0.5) / 64)
    assert covered.any()
    assert not (changed & ~covered).any()


@pytest.mark.parametrize('factor', COARSE_FACTORS)
def test_coarse_crops_have_the_papers_resolution(factor):
    class Always:
        def choice(self, values):
            return factor

    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    coarse = coarsen(image, Always())
    rows = {row.tobytes() for row in coarse}
    assert len(rows) == (224 if factor == 1 else round(224 / factor))


@pytest.mark.parametrize('seed', range(4))
def test_twilight_leaves_little_light_and_much_noise(seed):
    white = np.full((128, 128, 3), 240, np.uint8)
    dark = to_twilight(white, np.random.default_rng(seed))
    assert 240 / 16 - 0.5 < dark.mean() < 240 / 3 + 0.5
    assert 0.9 < dark.std() < 7.1
    assert dark.dtype == np.uint8


def test_labels_that_a_dataset_lacks_stay_absent(real_faces):
    face = read_faces('real_faces', real_faces, TRAIN_SETS)[0]
    bare = replace(face, landmarks=None, annotated_box=face.box)
    batch = FaceCrops([bare], MODELS['mnn_lite'], augmentation=Augmentation())[0, 0]
    assert set(batch) == {'image', 'rotation', 'openness', 'gaze', 'iris', 'eye_seen', 'face'}
    assert batch['openness'].isnan().all()
    assert batch['face'] == 1


@pytest.mark.parametrize('seed', range(12))
def test_a_spoilt_crop_shows_at_most_half_of_the_landmarks_or_a_blur(real_faces, seed):
    face = read_faces('real_faces', real_faces, TRAIN_SETS)[0]
    window = CropWindow.around_landmarks(face.landmarks, 0.0)
    crop = spoil(face, window, 64, np.random.default_rng(seed))
    inside = np.all((crop.points > 0) & (crop.points < 1), axis=1)
    extent = np.ptp(crop.points[inside], axis=0).max() if inside.any() else 0.0
    sharpness = cv2.Laplacian(crop.image, cv2.CV_32F).std()
    plain = cv2.Laplacian(cut(face, window, 64).image, cv2.CV_32F).std()
    assert not crop.face
    assert inside.mean() <= 0.5 or extent < 0.4 or sharpness < plain / 2


def test_mirroring_swaps_the_eyes():
    image = np.zeros((8, 8, 3), np.uint8)
    crop = Crop(image, None, None, None, openness=np.array([0.1, 0.9, 0.3]))
    assert mirror(crop).openness.tolist() == [0.9, 0.1, 0.3]


def test_the_openness_of_a_covered_eye_is_unknown(real_faces):
    face = read_faces('real_faces', real_faces, TRAIN_SETS)[0]
    visible = np.ones(68, bool)
    visible[36:42] = False
    assert can_judge_openness(visible).tolist() == [False, True, True]
    covered = replace(face, openness=np.array([0.5, 0.5, 0.1]))
    augment = Augmentation(occlusion=1.0)
    window = CropWindow.around_landmarks(face.landmarks, 0.0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        crop = augment(covered, window, 64, rng)
        np.testing.assert_array_equal(~np.isnan(crop.openness), can_judge_openness(crop.visible))


def test_depth_of_a_turned_head_is_found(real_faces, head_model):
    head = FaceModel.load(head_model).with_our_zero_pose()
    for yaw in (35.0, 50.0):
        rotation = matrix_from_aflw(np.radians([10.0, yaw, 20.0]))
        solid = head.points @ rotation.T * 900.0
        depth = head.depth_of(solid[:, :2], rotation)
        assert depth == pytest.approx(solid[:, 2] - solid[:, 2].mean(), abs=1.0)
        # The nose is nearer than the ears; at 50 degrees one ear is about as near.
        assert depth[30] < depth[[0, 16]].min() + (0.0 if yaw < 45 else 1.0)


def test_depth_is_mirrored_with_its_face(real_faces, head_model):
    face = read_faces('real_faces', real_faces, TRAIN_SETS)[0]
    head = FaceModel.load(head_model).with_our_zero_pose()
    face = replace(face, depth=head.depth_of(face.landmarks, face.rotation))
    crop = mirror(plain(face))
    again = head.depth_of(crop.points, crop.rotation)
    assert crop.depth == pytest.approx(again, abs=0.01)


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


def test_same_draw_same_crop(real_faces, head_model):
    faces = read_faces('real_faces', real_faces, TRAIN_SETS)
    head = FaceModel.load(head_model)
    crops = FaceCrops(faces, MODELS['mnn_lite'], head=head, augmentation=Augmentation())
    assert torch.equal(crops[0, 7]['image'], crops[0, 7]['image'])
    assert not torch.equal(crops[0, 7]['image'], crops[0, 8]['image'])


def test_projection_of_the_fixture_is_upright():
    points = project(np.eye(3))
    assert points[8, 1] > points[27, 1]  # the chin is below the sellion
    assert points[45, 0] > points[36, 0]  # the left eye is on the right of the image


def test_datasets_are_mixed_with_the_labels_that_all_have(real_faces):
    known = read_faces('real_faces', real_faces, TRAIN_SETS)[0]
    hidden = np.ones(68, bool)
    hidden[40:] = False
    rendered = replace(known, depth=np.zeros(68), visible=hidden)
    crops = FaceCrops([known, rendered], MODELS['mnn_lite'])
    eyes = {'openness', 'gaze', 'iris', 'eye_seen'}
    labels = {'image', 'points', 'rotation', 'visible', 'weight', 'face'} | eyes
    assert set(crops[0, 0]) == set(crops[1, 1]) == labels


def test_annotated_visibility_is_not_overruled_by_the_head(real_faces, head_model):
    head = FaceModel.load(head_model)
    face = read_faces('real_faces', real_faces, TRAIN_SETS)[0]
    profile = replace(face, rotation=matrix_from_aflw(np.radians([0.0, 75.0, 0.0])))
    annotated = replace(profile, visible=np.ones(68, bool))
    guessed, told = (
        FaceCrops([f], MODELS['mnn_lite'], head=head)[0, 0]['visible'] for f in (profile, annotated)
    )
    assert told.sum() > guessed.sum() + 10


def test_loader_processes_start_after_opencv_used_its_threads(real_faces):
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 5)
    data = FaceData(real_faces, batch_size=4, workers=1)
    data.train_crops = FaceCrops(
        read_faces('real_faces', real_faces, TRAIN_SETS), MODELS['mnn_lite']
    )
    batch = next(iter(data.train_dataloader()))
    cv2.setNumThreads(threads)
    assert batch['image'].shape == (4, 3, 128, 128)
