"""Miniature datasets in the genuine formats: three faces each, with labels that tests know."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import FRONTAL
from scipy.spatial.transform import Rotation

from headpose_training.data.drawn_faces import project

#: pitch, yaw, roll of the faces, degrees, AFLW2000 convention.
POSES = np.array([[0.0, 0.0, 0.0], [10.0, 40.0, -5.0], [-25.0, -60.0, 30.0]])


def rotation(pose):
    """Return Rx(-pitch) Ry(yaw) Rz(roll) factor by factor, apart from the package's own code."""
    pitch, yaw, roll = np.radians(pose)
    turns = zip('xyz', (-pitch, yaw, roll), strict=True)
    x, y, z = (Rotation.from_euler(axis, angle).as_matrix() for axis, angle in turns)
    return x @ y @ z


ROTATIONS = [rotation(pose) for pose in POSES]
#: (68, 2) landmarks of the faces, px, the first pixel's centre at 0.
POINTS = [project(matrix) for matrix in ROTATIONS]
#: (68,) depth of the landmarks in the camera's z, px, zero at the mean.
DEPTHS = [
    ((mean_face() - mean_face().mean(axis=0)) @ (matrix @ FRONTAL).T * 900)[:, 2]
    for matrix in ROTATIONS
]


def write_image(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    assert cv2.imwrite(str(file), image)


def write_rows(file, rows, separator=' '):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        ''.join(separator.join(map(repr, row)) + '\n' for row in np.asarray(rows).tolist())
    )


def pose_para(pose):
    return np.array([[*np.radians(pose), 220.0, 167.0, -100.0, 0.0012]])


def real_faces(folder):
    names = [f'face_{index}.jpg' for index in range(3)]
    for name in names:
        write_image(folder / 'images' / name)
    with (folder / 'index.csv').open('w', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerow(['image', 'set', *(f'pseudo_{a}_deg' for a in ('pitch', 'yaw', 'roll'))])
        writer.writerows([n, 'afw', *pose] for n, pose in zip(names, POSES.tolist(), strict=True))
    np.save(folder / 'landmarks68.npy', np.array(POINTS, np.float32))


def w300_lp(folder):
    for part, pose, points in zip(('AFW', 'AFW_Flip', 'HELEN'), POSES, POINTS, strict=True):
        write_image(folder / part / f'{part}_1.jpg')
        labels = {'Pose_Para': pose_para(pose), 'pt2d': points.T + 1}
        scipy.io.savemat(folder / part / f'{part}_1.mat', labels)


def aflw2000(folder):
    for index, (pose, points, depth) in enumerate(zip(POSES, POINTS, DEPTHS, strict=True)):
        write_image(folder / f'image0000{index}.jpg')
        # The fitted model's z points at the viewer, and its zero is anywhere.
        solid = np.vstack([points.T + 1, -depth - 100.0])
        labels = {'Pose_Para': pose_para(pose), 'pt3d_68': solid, 'pt2d': -np.ones((2, 21))}
        scipy.io.savemat(folder / f'image0000{index}.mat', labels)


CALIBRATION = """500 0 320
0 500 240
0 0 1

0 0 0 0

0 -1 0
1 0 0
0 0 1

-25 0 0

640 480
"""
HEAD_MM = (100.0, -50.0, 1000.0)


def biwi(folder):
    for part, matrix in zip(('01', '01', '02'), ROTATIONS, strict=True):
        frame = f'frame_{len(list(folder.rglob("*.png"))):05}'
        write_image(folder / part / f'{frame}_rgb.png')
        (folder / part / 'rgb.cal').write_text(CALIBRATION)
        rows = [' '.join(f'{value:.6g}' for value in row) + ' ' for row in (*matrix, HEAD_MM)]
        text = '\n'.join([*rows[:3], '', rows[3], ''])
        (folder / part / f'{frame}_pose.txt').write_text(text)


def aflw(folder):
    with closing(sqlite3.connect(folder / 'aflw.sqlite')) as base, base:
        base.executescript("""
            CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
            CREATE TABLE FaceImages (image_id INTEGER, db_id TEXT, file_id TEXT, filepath TEXT,
                bw INTEGER, width INTEGER, height INTEGER);
            CREATE TABLE FacePose (face_id INTEGER, roll REAL, pitch REAL, yaw REAL,
                annot_type_id INTEGER);
            CREATE TABLE FaceRect (face_id INTEGER, x INTEGER, y INTEGER, w INTEGER, h INTEGER,
                annot_type_id INTEGER);
            INSERT INTO Faces VALUES (50000, 'image2', 'flickr');
        """)
        for index, pose in enumerate(POSES):
            pitch, yaw, roll = np.radians(pose).tolist()
            name, file, face = f'image{index}', f'{index}/image{index}.jpg', 39341 + index
            write_image(folder / 'flickr' / file)
            image = (index, 'flickr', name, file, 0, 48, 32)
            base.execute('INSERT INTO Faces VALUES (?, ?, ?)', (face, name, 'flickr'))
            base.execute('INSERT INTO FaceImages VALUES (?, ?, ?, ?, ?, ?, ?)', image)
            base.execute('INSERT INTO FacePose VALUES (?, ?, ?, ?, 2)', (face, -roll, pitch, yaw))
            base.execute('INSERT INTO FaceRect VALUES (?, 5, 6, 20, 21, 1)', (face,))


def pts(points, header):
    rows = ''.join(f'{x!r} {y!r}\n' for x, y in np.asarray(points).tolist())
    return f'version: 1\nn_points:  {len(points)}\n{{\n{rows}}}\n' if header else rows


def w300(folder):
    parts = ('helen/trainset', 'helen/testset', 'ibug')
    for part, suffix, points in zip(parts, ('.jpg', '.png', '.jpg'), POINTS, strict=True):
        write_image(folder / part / f'face.1{suffix}')
        (folder / part / 'face.1.pts').write_text(pts(points + 1, header=part != 'ibug'))


def afw(folder):
    for index, points in enumerate(POINTS):
        write_image(folder / f'1051618982_{index}.jpg')
        (folder / f'1051618982_{index}.pts').write_text(pts(points + 1, header=True))


def wflw(folder):
    lists = folder / 'WFLW_annotations' / 'list_98pt_rect_attr_train_test'
    lists.mkdir(parents=True)
    for part, faces in (('train', (0, 1)), ('test', (2,))):
        lines = []
        for face in faces:
            image = f'0--Parade/0_Parade_{face}.jpg'
            write_image(folder / 'WFLW_images' / image)
            points = np.stack([np.arange(98) + 0.25, np.arange(98) + 100.0 * face], axis=1)
            numbers = ' '.join(map(str, points.ravel()))
            lines.append(f'{numbers} 5 6 25 30 0 1 0 0 1 0 {image}\n')
        (lists / f'list_98pt_rect_attr_{part}.txt').write_text(''.join(lines))


def cofw(folder):
    (folder / 'test_annotations').mkdir()
    for number, points in enumerate(POINTS, 1):
        write_image(folder / 'images' / f'{number}.jpg')
        occluded = (np.arange(68) % (number + 1) == 0).astype(np.uint8)
        labels = {'Points': points + 1, 'Occ': occluded[None]}
        scipy.io.savemat(folder / 'test_annotations' / f'{number}_points.mat', labels)


def faw3d(folder):
    faces = zip(('train', 'train', 'valid'), POINTS, DEPTHS, strict=True)
    for index, (part, points, depth) in enumerate(faces):
        write_image(folder / f'{part}_img' / f'{index}.jpg')
        given = np.delete(np.column_stack([points, 7.0 - depth]), [60, 64], axis=0)
        write_rows(folder / f'{part}_lm' / f'{index}_lm.csv', given, ',')


def rendered(folder):
    (folder / 'shard-00000').mkdir()
    count, points = len(POINTS), mean_face() - mean_face().mean(axis=0)
    for index in range(count):
        write_image(folder / 'shard-00000' / f'{index:06d}.jpg')
    facing = np.stack(ROTATIONS) @ FRONTAL
    np.savez(
        folder / 'shard-00000' / 'labels.npz',
        index=np.arange(count),
        K=np.tile(np.array([[900.0, 0, 24], [0, 900, 16], [0, 0, 1]]), (count, 1, 1)),
        R=facing,
        t=np.tile([0.0, 0.0, 1.0], (count, 1)),
        facing=facing,
        landmarks=np.stack(POINTS),
        landmarks3d=np.tile(points, (count, 1, 1)),
        visible=np.ones((count, 68), np.bool_),
        eye_openness=np.ones((count, 2)),
        mouth_openness=np.zeros(count),
        gaze=np.tile([1.0, 0.0, 0.0], (count, 2, 1)),
        iris=np.tile([[10.0, 10.0], [20.0, 10.0]], (count, 1, 1)),
        iris_visible=np.ones((count, 2), np.bool_),
        box=np.tile([1.0, 2.0, 30.0, 25.0], (count, 1)),
        seed=np.zeros((count, 2), np.int64),
    )


def edited(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def edited_mat(file, name, index):
    mat = {key: value for key, value in scipy.io.loadmat(file).items() if not key.startswith('_')}
    mat[name] = mat[name].astype(float)
    mat[name][index] = np.nan
    scipy.io.savemat(file, mat)


def edited_npy(folder):
    points = np.load(folder / 'landmarks68.npy')
    points[0, 5] = np.nan
    np.save(folder / 'landmarks68.npy', points)


def edited_npz(folder):
    file = folder / 'shard-00000' / 'labels.npz'
    with np.load(file) as data:
        labels = dict(data)
    labels['landmarks'][0, 5] = np.nan
    np.savez(file, **labels)


def edited_sqlite(folder):
    with closing(sqlite3.connect(folder / 'aflw.sqlite')) as base, base:
        base.execute('UPDATE FacePose SET yaw = NULL WHERE face_id = 39341')


@dataclass(frozen=True)
class Miniature:
    """How to write a dataset, which files hold its first face, how to put a NaN into its labels.

    `labels` is the file of that face's labels only, or None where one file holds all faces.
    """

    write: Callable[[Path], None]
    image: str
    labels: str | None
    poison: Callable[[Path], None]


def nan_in(file, old):
    return lambda folder: edited(folder / file, old, 'nan')


def nan_in_mat(file, name, index):
    return lambda folder: edited_mat(folder / file, name, index)


_AFW_FACE = '1051618982_0'
_WFLW_LIST = 'WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt'
MINIATURES = {
    'real_faces': Miniature(real_faces, 'images/face_0.jpg', None, edited_npy),
    'rendered': Miniature(rendered, 'shard-00000/000000.jpg', None, edited_npz),
    '300w_lp': Miniature(
        w300_lp,
        'AFW/AFW_1.jpg',
        'AFW/AFW_1.mat',
        nan_in_mat('AFW/AFW_1.mat', 'Pose_Para', (0, 1)),
    ),
    'aflw2000': Miniature(
        aflw2000,
        'image00000.jpg',
        'image00000.mat',
        nan_in_mat('image00000.mat', 'pt3d_68', (2, 30)),
    ),
    'biwi': Miniature(
        biwi,
        '01/frame_00000_rgb.png',
        '01/frame_00000_pose.txt',
        nan_in('01/frame_00000_pose.txt', '1'),
    ),
    'aflw': Miniature(aflw, 'flickr/0/image0.jpg', None, edited_sqlite),
    '300w': Miniature(
        w300,
        'helen/testset/face.1.png',
        'helen/testset/face.1.pts',
        nan_in('helen/testset/face.1.pts', repr(float(POINTS[1][5, 0] + 1))),
    ),
    'afw': Miniature(
        afw,
        f'{_AFW_FACE}.jpg',
        f'{_AFW_FACE}.pts',
        nan_in(f'{_AFW_FACE}.pts', repr(float(POINTS[0][5, 0] + 1))),
    ),
    'wflw': Miniature(
        wflw, 'WFLW_images/0--Parade/0_Parade_0.jpg', None, nan_in(_WFLW_LIST, '4.25')
    ),
    'cofw': Miniature(
        cofw,
        'images/1.jpg',
        'test_annotations/1_points.mat',
        nan_in_mat('test_annotations/1_points.mat', 'Points', (3, 0)),
    ),
    '3dfaw': Miniature(
        faw3d,
        'train_img/0.jpg',
        'train_lm/0_lm.csv',
        nan_in('train_lm/0_lm.csv', repr(float(POINTS[0][5, 0]))),
    ),
}
