import shutil

import cv2
import numpy as np
import pytest
import scipy.io
from headpose_ros.geometry.crop import apply_affine
from headpose_ros.geometry.landmarks import MIRROR, complete
from headpose_ros.geometry.rotations import aflw_from_matrix, in_plane, matrix_from_aflw
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from miniatures import (
    CALIBRATION,
    DEPTHS,
    MINIATURES,
    POINTS,
    POSES,
    ROTATIONS,
    edited,
    pts,
    write_rows,
)

from headpose_training.data.crops import CROPS
from headpose_training.data.formats import FORMATS, check, read_faces
from headpose_training.data.readers.pts import parse_pts
from headpose_training.data.readers.wflw import IBUG_FROM_98
from headpose_training.data.reading import ALL
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

EVERY = pytest.mark.parametrize('name', MINIATURES)
ATTRIBUTES = {
    'landmarks': 'landmarks',
    'rotation': 'rotation',
    'visible': 'visible',
    'depth': 'depth',
    'box': 'annotated_box',
}


@pytest.fixture(scope='module')
def miniatures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('miniatures')
    for name, miniature in MINIATURES.items():
        (folder / name).mkdir()
        miniature.write(folder / name)
    return folder


@pytest.fixture
def copy(miniatures, tmp_path):
    return lambda name: shutil.copytree(miniatures / name, tmp_path / name)


def stack(faces, attribute):
    return np.stack([getattr(face, attribute) for face in faces])


def test_every_format_has_a_miniature():
    # What `headpose-train label` writes names photographs elsewhere: test_labelling reads it back.
    assert FORMATS.keys() == MINIATURES.keys() | {'labelled'}


@EVERY
def test_faces_have_the_labels_that_their_format_states(miniatures, name):
    faces = read_faces(name, miniatures / name)
    assert len(faces) == len({face.name for face in faces}) == 3
    for face in faces:
        has = {label for label, key in ATTRIBUTES.items() if getattr(face, key) is not None}
        assert has == FORMATS[name].labels
        assert face.read_image().shape == (32, 48, 3)
        for protocol in CROPS.values():
            assert protocol(face).side > 0


@pytest.mark.parametrize('name', [n for n in MINIATURES if 'landmarks' in FORMATS[n].labels])
def test_landmarks_count_pixels_from_zero(miniatures, name):
    if name == 'wflw':
        expected = [np.stack([IBUG_FROM_98 + 0.25, IBUG_FROM_98 + 100 * n], 1) for n in (2, 0, 1)]
    else:
        order = {'300w': (1, 0, 2)}.get(name, range(3))
        expected = [POINTS[index] for index in order]
    landmarks = stack(read_faces(name, miniatures / name), 'landmarks')
    given = np.arange(68) if name != '3dfaw' else np.delete(np.arange(68), [60, 64])
    np.testing.assert_allclose(landmarks[:, given], np.stack(expected)[:, given], atol=1e-4)


@pytest.mark.parametrize('name', [n for n in MINIATURES if 'rotation' in FORMATS[n].labels])
def test_rotations_are_camera_aligned(miniatures, name):
    rotations = stack(read_faces(name, miniatures / name), 'rotation')
    np.testing.assert_allclose(rotations, ROTATIONS, atol=1e-5)


@pytest.mark.parametrize('name', [n for n in MINIATURES if 'depth' in FORMATS[n].labels])
def test_depth_grows_away_from_the_camera(miniatures, name):
    depths = stack(read_faces(name, miniatures / name), 'depth')
    given = np.arange(68) if name != '3dfaw' else np.delete(np.arange(68), [60, 64])
    expected = np.stack(DEPTHS)[:, given]
    # The completed corners of 3DFAW move the mean: compare around that of the given points.
    found = depths[:, given] - depths[:, given].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected - expected.mean(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(depths.mean(axis=1), 0, atol=1e-9)


def test_300w_lp_takes_projected_points_where_pt2d_is_absent(copy):
    folder = copy('300w_lp')
    labels = scipy.io.loadmat(folder / 'AFW' / 'AFW_1.mat')
    scipy.io.savemat(folder / 'AFW' / 'AFW_1.mat', {'Pose_Para': labels['Pose_Para']})
    (folder / 'landmarks' / 'AFW').mkdir(parents=True)
    points = {'pts_2d': np.zeros((68, 2)), 'pts_3d': POINTS[2] + 1}
    scipy.io.savemat(folder / 'landmarks' / 'AFW' / 'AFW_1_pts.mat', points)
    (face,) = read_faces('300w_lp', folder, ['AFW'])
    np.testing.assert_allclose(face.landmarks, POINTS[2])


def test_biwi_angles_are_those_of_published_code(miniatures):
    for face, pose in zip(read_faces('biwi', miniatures / 'biwi'), POSES, strict=True):
        turned = face.rotation.T
        pitch = np.arctan2(turned[2, 1], turned[2, 2])
        yaw = -np.arctan2(-turned[2, 0], np.hypot(turned[2, 1], turned[2, 2]))
        roll = -np.arctan2(turned[1, 0], turned[0, 0])
        np.testing.assert_allclose(np.degrees([pitch, yaw, roll]), pose, atol=1e-3)
        np.testing.assert_allclose(aflw_from_matrix(face.rotation), [pitch, yaw, roll], atol=1e-5)


def test_biwi_box_is_around_the_projected_head(miniatures):
    # The calibration turns (100, -50, 1000) to (50, 100, 1000) and shifts it to (25, 100, 1000):
    # 320 + 500 * 25 / 1000 = 332.5, 240 + 500 * 100 / 1000 = 290; the side is 500 * 200 / 1000.
    face = read_faces('biwi', miniatures / 'biwi')[0]
    np.testing.assert_allclose(face.annotated_box, [282.5, 240.0, 100.0, 100.0])


@pytest.mark.parametrize(
    ('old', 'new', 'said'),
    [
        ('1 0 0 \n', '1 0.5 0 \n', 'not a rotation matrix'),
        ('1 0 0 \n', '', '3 rows of numbers'),
        ('1 0 0 \n', '-1 0 0 \n', 'not a rotation matrix'),
        ('100 -50 1000', '100 -50', 'not rows of 3 numbers'),
        ('100 -50 1000', '100 -50 -1000', 'not in front of the camera'),
    ],
)
def test_wrong_pose_of_biwi_is_named(copy, old, new, said):
    folder = copy('biwi')
    edited(folder / '01' / 'frame_00000_pose.txt', old, new)
    with pytest.raises(TrainingError, match=f'1 of 3 .* first: 01/frame_00000_pose.txt: .*{said}'):
        read_faces('biwi', folder)


def test_missing_calibration_of_biwi_is_named(copy):
    folder = copy('biwi')
    (folder / '02' / 'rgb.cal').unlink()
    with pytest.raises(TrainingError, match=r'1 of 3 .*02/frame_00002_pose\.txt: rgb\.cal is miss'):
        read_faces('biwi', folder)


def test_calibration_of_biwi_in_other_rows_is_refused(copy):
    folder = copy('biwi')
    (folder / '02' / 'rgb.cal').write_text(CALIBRATION.replace('0 0 0 0\n', '', 1))
    with pytest.raises(TrainingError, match=r'rgb\.cal is not a calibration'):
        read_faces('biwi', folder)


def test_aflw_boxes_and_sets(miniatures):
    (face,) = read_faces('aflw', miniatures / 'aflw', ['2'])
    assert face.name == '2/image2.jpg#39343'
    np.testing.assert_array_equal(face.annotated_box, [5, 6, 20, 21])


def test_wflw_boxes_and_sets(miniatures):
    (face,) = read_faces('wflw', miniatures / 'wflw', ['test'])
    assert face.name == '0--Parade/0_Parade_2.jpg#1'
    np.testing.assert_array_equal(face.annotated_box, [5, 6, 20, 24])


def test_wflw_points_mirror_like_those_of_ibug():
    pairs = [(i, 32 - i) for i in range(16)]
    pairs += [(33 + i, 46 - i) for i in range(5)] + [(38 + i, 50 - i) for i in range(4)]
    pairs += [(55, 59), (56, 58)]
    pairs += [(60 + i, 72 - i) for i in range(5)] + [(65 + i, 75 - i) for i in range(3)]
    pairs += [(76 + i, 82 - i) for i in range(3)] + [(83 + i, 87 - i) for i in range(2)]
    pairs += [(88 + i, 92 - i) for i in range(2)] + [(93, 95)]
    mirror98 = np.arange(98)
    for a, b in pairs:
        mirror98[a], mirror98[b] = b, a
    np.testing.assert_array_equal(mirror98[IBUG_FROM_98], IBUG_FROM_98[MIRROR])


def test_cofw_occluded_points_are_not_visible(miniatures):
    faces = read_faces('cofw', miniatures / 'cofw')
    for number, face in enumerate(faces, 1):
        np.testing.assert_array_equal(np.flatnonzero(~face.visible), range(0, 68, number + 1))


def test_3dfaw_inner_corners_are_completed_and_not_visible(miniatures):
    given = np.zeros((66, 3))
    # Points 48, 61 and 67 are rows 48, 60 and 65 without the corners; 54, 63, 65: 54, 62, 63.
    given[[48, 60, 65]] = [(0, 0, 0), (4, -2, 8), (4, 2, 0)]
    given[[54, 62, 63]] = [(10, 0, 0), (6, -2, 0), (6, 4, 0)]
    points = complete(given, 'ibug66')
    np.testing.assert_array_equal(points[60], (2, 0, 2))
    np.testing.assert_array_equal(points[64], (8, 0.5, 0))
    for face in read_faces('3dfaw', miniatures / '3dfaw'):
        np.testing.assert_array_equal(np.flatnonzero(~face.visible), [60, 64])


def test_3dfaw_depth_does_not_depend_on_the_sign_of_z(copy):
    folder = copy('3dfaw')
    before = stack(read_faces('3dfaw', folder), 'depth')
    for file in folder.glob('*_lm/*'):
        write_rows(file, np.loadtxt(file, delimiter=',') * [1, 1, -1], ',')
    np.testing.assert_allclose(stack(read_faces('3dfaw', folder), 'depth'), before)


@given(
    arrays(np.float64, (68, 2), elements=st.floats(-1e6, 1e6)),
    st.booleans(),
    st.sampled_from('\n\r'),
)
def test_pts_round_trip(points, header, end):
    text = pts(points, header).replace('\n', '\r\n' if end == '\r' else end)
    np.testing.assert_array_equal(parse_pts(text), points)


@pytest.mark.parametrize(
    ('old', 'new', 'said'),
    [
        (pts(POINTS[0][-1:] + 1, False), '', r'shape \(67, 2\), expected \(68, 2\)'),
        (pts(POINTS[0][-1:] + 1, False), '5\n', 'not rows of 2 numbers'),
        ('version', 'points\nversion', 'not rows of 2 numbers'),
    ],
)
def test_wrong_pts_is_named(copy, old, new, said):
    folder = copy('afw')
    edited(folder / '1051618982_0.pts', old, new)
    with pytest.raises(TrainingError, match=rf'1 of 3 .* first: 1051618982_0\.pts: .*{said}'):
        read_faces('afw', folder)


@pytest.mark.parametrize(
    ('labels', 'said'),
    [
        ({'pt2d': np.zeros((2, 68))}, 'Pose_Para is missing'),
        (
            {'pt2d': np.zeros((2, 21)), 'Pose_Para': np.zeros((1, 7))},
            r'landmarks of shape \(21, 2\)',
        ),
        ({'Pose_Para': np.zeros((1, 7))}, r'AFW_1_pts\.mat is missing'),
        (None, 'not a MATLAB file'),
    ],
)
def test_wrong_mat_is_named(copy, labels, said):
    folder = copy('300w_lp')
    file = folder / 'AFW' / 'AFW_1.mat'
    file.write_text('nothing') if labels is None else scipy.io.savemat(file, labels)
    with pytest.raises(TrainingError, match=rf'1 of 3 .* first: AFW/AFW_1\.mat: .*{said}'):
        read_faces('300w_lp', folder)


def test_other_occlusion_than_yes_or_no_is_refused(copy):
    folder = copy('cofw')
    labels = {'Points': POINTS[0], 'Occ': np.full(68, 2)}
    scipy.io.savemat(folder / 'test_annotations' / '3_points.mat', labels)
    with pytest.raises(TrainingError, match=r'3_points\.mat: Occ'):
        read_faces('cofw', folder)


@EVERY
def test_missing_image_is_named(copy, name):
    folder = copy(name)
    image = folder / MINIATURES[name].image
    image.unlink()
    with pytest.raises(TrainingError, match=r'1 of 3 faces are broken, first: .*image is missing'):
        read_faces(name, folder)


@EVERY
def test_image_cut_short_is_named(copy, name):
    folder = copy(name)
    image = folder / MINIATURES[name].image
    image.write_bytes(image.read_bytes()[:-200])
    if image.suffix == '.jpg':
        assert cv2.imread(str(image)) is not None  # OpenCV alone would not tell
    with pytest.raises(TrainingError, match=rf'1 of 3 .*first: .*{image.name}.* cut short; use --'):
        read_faces(name, folder)


@EVERY
def test_nan_label_is_named(copy, name):
    folder = copy(name)
    MINIATURES[name].poison(folder)
    with pytest.raises(TrainingError, match=r'1 of 3 faces are broken, first: .*not finite'):
        read_faces(name, folder)


@pytest.mark.parametrize('name', [n for n, m in MINIATURES.items() if m.labels])
def test_missing_labels_are_named(copy, name):
    folder = copy(name)
    labels = folder / MINIATURES[name].labels
    labels.unlink()
    with pytest.raises(TrainingError, match=f'1 of 3 .*first: .*{labels.name} is missing'):
        read_faces(name, folder)


@EVERY
def test_broken_faces_are_left_out_on_demand(copy, capsys, name):
    folder = copy(name)
    broken = MINIATURES[name].image
    (folder / broken).unlink()
    assert len(read_faces(name, folder, skip_broken=True)) == 2
    (warning,) = capsys.readouterr().err.splitlines()
    assert 'warning' in warning
    assert '1 of 3 faces are broken' in warning


@EVERY
def test_dataset_of_broken_faces_only_is_refused(copy, name):
    folder = copy(name)
    for image in [*folder.rglob('*.jpg'), *folder.rglob('*.png')]:
        image.write_bytes(b'')
    with pytest.raises(TrainingError) as caught:
        read_faces(name, folder, skip_broken=True)
    assert '3 of 3 faces are broken' in str(caught.value)
    assert str(caught.value).endswith(FORMATS[name].layout)


@EVERY
def test_other_folder_is_refused_with_the_layout(tmp_path, name):
    for folder in (tmp_path, tmp_path / 'absent'):
        with pytest.raises(TrainingError) as caught:
            read_faces(name, folder)
        assert str(caught.value).endswith(FORMATS[name].layout)


@EVERY
def test_unknown_set_lists_the_known(miniatures, name):
    known = {'300w': 'helen/testset', '300w_lp': 'AFW_Flip', 'biwi': '02', 'aflw': '2'}
    known |= {'wflw': 'test', '3dfaw': 'valid', 'real_faces': 'afw', 'rendered': 'shard-00000'}
    with pytest.raises(TrainingError, match=rf"sets \['moon'\]; it has .*'{known.get(name, ALL)}'"):
        read_faces(name, miniatures / name, ['moon'])


def test_unknown_format_lists_the_known(tmp_path):
    with pytest.raises(TrainingError, match=r'300w_lp, aflw2000'):
        read_faces('aflw3000', tmp_path)


def test_check_prints_what_it_found(miniatures, capsys):
    check('300w_lp', miniatures / '300w_lp')
    printed = capsys.readouterr().out
    for said in ('300w_lp', '3 faces', '-60 to 40 degrees', 'CVPR 2016'):
        assert said in printed


def test_check_fails_on_a_broken_face(copy, capsys):
    folder = copy('cofw')
    (folder / 'images' / '2.jpg').write_bytes(b'GIF')
    with pytest.raises(TrainingError, match='1 of 3 faces are broken'):
        check('cofw', folder)
    assert '2.jpg: not an image that OpenCV reads' in capsys.readouterr().out


def test_jpeg_with_a_thumbnail_or_bytes_after_its_end_is_whole(copy):
    folder = copy('afw')
    first, second = (folder / f'1051618982_{index}.jpg' for index in range(2))
    thumbnail = b'\xff\xd8\xff\xda\x00\xff\xd9'
    header = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    data = first.read_bytes()
    first.write_bytes(data[:2] + header + data[2:] + b'camera')
    assert len(read_faces('afw', folder)) == 3
    second.write_bytes(data[:2] + header + data[2:-200])
    with pytest.raises(TrainingError, match=r'1 of 3 .*1051618982_1\.jpg: the image is cut short'):
        read_faces('afw', folder)


BOXED = LabelledFace('boxed', None, annotated_box=np.array([10.0, 20.0, 100.0, 60.0]))
#: Landmarks whose bounding box is x 40 to 140, y 60 to 180.
MARKED = LabelledFace(
    'marked',
    None,
    np.linspace((40.0, 60.0), (140.0, 180.0), 68),
    annotated_box=np.array([0.0, 0.0, 200.0, 220.0]),
)


@pytest.mark.parametrize(
    ('protocol', 'face', 'x', 'y', 'side'),
    [
        ('landmarks', MARKED, 90, 120, 162),  # 120 * 1.35
        ('landmarks', BOXED, 60, 50, 100),
        # x: 40 - 0.4 * 100 = 0, 140 + 0.4 * 140 = 196; y: 60 - 0.4 * 120 = 12,
        # 180 + 0.12 * 168 = 200.16. The box is 196 wide and 188.16 high.
        ('hopenet', MARKED, 98, 106.08, 196),
        # x: 10 - 40 = -30, 110 + 0.4 * 140 = 166; y: 20 - 24 = -4, 80 + 0.12 * 84 = 90.08.
        ('hopenet', BOXED, 68, 43.04, 196),
        ('mnn', MARKED, 90, 120, 156),  # 120 * 1.3
        ('mnn', BOXED, 60, 50, 130),
        ('ccr', MARKED, 100, 110, 220),  # the annotated box goes first
        ('ccr', BOXED, 60, 50, 100),
    ],
)
def test_crop_protocols(protocol, face, x, y, side):
    window = CROPS[protocol](face)
    found = (window.center_x, window.center_y, window.side, window.angle)
    assert found == pytest.approx((x, y, side, 0))


def test_tracked_crops_stand_upright():
    head = in_plane(0.4) @ matrix_from_aflw([0.2, 1.4, 0])
    points = apply_affine(np.column_stack([in_plane(0.4)[:2, :2], [7, 9]]), MARKED.landmarks)
    window = CROPS['tracked'](LabelledFace('turned', None, points, rotation=head))
    assert (window.side, window.angle) == pytest.approx((162, 0.4))
    unposed = LabelledFace('unposed', None, points)
    assert CROPS['tracked'](unposed) == CROPS['landmarks'](unposed)


def test_ccr_crops_around_landmarks_without_a_box():
    window = CROPS['ccr'](LabelledFace('plain', None, MARKED.landmarks))
    assert (window.center_x, window.center_y, window.side) == pytest.approx((90, 120, 120))
