"""Rendered faces: labels against independent geometry, determinism, shards on a full disk."""

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import MIRROR
from headpose_ros.geometry.rotations import (
    aligned_from_face,
    face_from_aligned,
    geodesic,
    matrix_from_aflw,
    mirrored,
    mnn_euler_from_matrix,
)

from headpose_training.data.readers.rendered import RENDERED
from headpose_training.data.reading import read_items
from headpose_training.errors import TrainingError
from headpose_training.studies.rendering_worth import rendering_worth
from headpose_training.studies.viewing_ray import viewing_ray
from headpose_training.studies.weights import judge_weights
from headpose_training.synthesis import dataset
from headpose_training.synthesis.appearance import light as lighting
from headpose_training.synthesis.appearance.accessories import OccluderConfig
from headpose_training.synthesis.appearance.hair import HairConfig
from headpose_training.synthesis.appearance.light import LightConfig
from headpose_training.synthesis.appearance.shapes import ball, grid_triangles, tube
from headpose_training.synthesis.appearance.skin import SkinConfig
from headpose_training.synthesis.camera import Camera, CameraConfig, framed
from headpose_training.synthesis.command import render as render_command
from headpose_training.synthesis.dataset import Faces, write_shards
from headpose_training.synthesis.heads.mesh import REGIONS, HeadMesh, Material
from headpose_training.synthesis.labels import TOLERANCE
from headpose_training.synthesis.poses import PoseConfig, sample_rotation
from headpose_training.synthesis.render import context
from headpose_training.synthesis.render.effects import EffectsConfig, apply, sample_effects
from headpose_training.synthesis.render.renderer import Renderer, _millimetres_of_uv
from headpose_training.synthesis.scene import SceneConfig, Setting, sample_scene
from headpose_training.synthesis.sequences import MOTIONS, Clip, Motion
from headpose_training.synthesis.streaming import RenderedFaces

SIZE = 128
FULL = SceneConfig(camera=CameraConfig(size=SIZE))
CLEAN = replace(FULL, hair=HairConfig(enabled=False), effects=EffectsConfig(enabled=False))
PLAIN = replace(
    CLEAN,
    light=LightConfig(varied=False),
    skin=SkinConfig(textured=False),
    occluders=OccluderConfig(enabled=False),
)


class Egg:
    """An egg with a nose, hair and 68 landmarks; symmetrical."""

    name = 'egg'

    def sample(self, rng):
        return self

    def mesh(self, expression):
        polar = np.linspace(-1.5, 1.5, 61)[:, None]
        turn = np.linspace(-np.pi, np.pi, 81)[None]
        across = np.cos(polar) * np.sin(turn)
        along, up = np.cos(polar) * np.cos(turn), np.sin(polar) + 0 * turn
        nose = np.exp(-((across / 0.2) ** 2) - ((up + 0.1) / 0.25) ** 2) * (along > 0)
        grid = np.stack(
            [-0.1 + 0.1 * along * (1 + 0.3 * nose), 0.075 * across, 0.12 * up - 0.03], axis=-1
        )
        normals = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
        normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
        points = grid.reshape(-1, 3)
        nearest = np.linalg.norm(mean_face()[:, None] - points[None], axis=2).argmin(axis=1)
        marks = points[nearest]
        marks = (marks + marks[MIRROR] * [1, -1, 1]) / 2
        marks[:, 0] += 0.0005
        triangles = grid_triangles(61, 81)
        regions = {name: np.zeros(len(points), np.float32) for name in REGIONS}
        regions['scalp'] = (points[:, 2] > 0.03).astype(np.float32)
        regions['beard'] = (points[:, 2] < -0.1).astype(np.float32)
        return HeadMesh(
            vertices=points.astype(np.float32),
            triangles=triangles,
            materials=np.full(len(triangles), Material.SKIN, np.uint8),
            uv=np.stack(np.broadcast_arrays(turn / 7 + 0.5, polar / 4 + 0.5), -1)
            .reshape(-1, 2)
            .astype(np.float32),
            normals=-normals.reshape(-1, 3).astype(np.float32)
            * np.sign(
                -(normals.reshape(-1, 3) * (points - [-0.1, 0, -0.03])).sum(1, keepdims=True)
            ),
            landmarks=marks.astype(np.float32),
            eye_centers=np.array([[-0.02, -0.03, 0], [-0.02, 0.03, 0]], np.float32),
            eye_radius=0.012,
            gaze=np.array([[1, 0, 0], [1, 0, 0]], np.float32),
            eye_openness=np.ones(2, np.float32),
            mouth_openness=0.0,
            regions=regions,
        )


#: One source: what is computed once for a source is computed once.
EGGS = [Egg()]


@pytest.fixture(scope='module')
def renderer():
    try:
        return Renderer(SIZE)
    except TrainingError as error:
        pytest.skip(f'no OpenGL over EGL here: install libegl1 and libgl1-mesa-dri ({error})')


@pytest.fixture
def egg_faces(renderer, monkeypatch):
    monkeypatch.setattr(dataset, 'load_heads', lambda path: EGGS)
    return Faces(config=FULL, seed=3)


def scene_of(index, config):
    return sample_scene(np.random.default_rng(index), config, EGGS)


def first_hit(origin, points, corners):
    """Distance along each segment, over its length, to the first triangle (Möller, Trumbore)."""
    a, b, c = corners
    first, second = b - a, c - a
    nearest = np.full(len(points), np.inf)
    for row, ray in enumerate(points - origin):
        normal = np.cross(ray, second)
        scale = np.einsum('fi,fi->f', normal, first)
        with np.errstate(divide='ignore', invalid='ignore'):
            u = np.einsum('fi,fi->f', normal, origin - a) / scale
            side = np.cross(origin - a, first)
            v = side @ ray / scale
            distance = np.einsum('fi,fi->f', side, second) / scale
            hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 1e-4)
        nearest[row] = distance[hit].min(initial=np.inf)
    return nearest


def test_landmarks_lie_where_their_vertices_are_drawn(renderer):
    scene = scene_of(1, replace(PLAIN, poses=PoseConfig(frontal_share=1, frontal_deg=5)))
    chosen = [27, 28, 30, 39, 42, 48, 54]  # those that are marked where they are on the skin
    labels = renderer.render(scene).labels
    for index in chosen:
        place = scene.head.landmarks[index]
        bead = ball([0.002] * 3, [0.9, 0.0, 0.0]).moved(np.eye(3), place)
        beaded = replace(scene, worn=replace(scene.worn, solids=[*scene.worn.solids, bead]))
        before, after = (renderer.render(s).image.astype(float) for s in (scene, beaded))
        change = np.abs(after - before).sum(axis=2)
        change[change < 40] = 0
        rows, columns = np.indices(change.shape)
        center = np.array([(change * columns).sum(), (change * rows).sum()]) / change.sum()
        # The skin hides the bead's inner half, whose part of the disc depends on the slope.
        assert np.linalg.norm(center - labels.landmarks[index]) < 0.5


def test_labels_reproject_and_pnp_gives_the_rotation(renderer):
    for index in range(8):
        labels = renderer.render(scene_of(index, CLEAN)).labels
        optical = labels.landmarks3d @ labels.R.T + labels.t
        pixels = (optical @ labels.K.T)[:, :2] / (optical @ labels.K.T)[:, 2:]
        np.testing.assert_allclose(pixels, labels.landmarks, atol=1e-6)
        _, turn, place = cv2.solvePnP(
            labels.landmarks3d, labels.landmarks, labels.K, None, flags=cv2.SOLVEPNP_SQPNP
        )
        assert np.degrees(geodesic(cv2.Rodrigues(turn)[0], labels.R)) < 0.1
        np.testing.assert_allclose(place[:, 0], labels.t, atol=1e-3)


def test_visibility_agrees_with_a_ray_test(renderer):
    size = 256
    large = Renderer(size)
    agree, seen = [], []
    for index in range(10):
        scene = scene_of(index, replace(CLEAN, camera=CameraConfig(size=size)))
        labels = large.render(scene).labels
        camera, solid = scene.camera, [scene.head, *scene.worn.solids]
        if scene.worn.lenses is not None and scene.worn.lenses.opacity > 0.5:
            solid.append(scene.worn.lenses.solid)
        corners = [[], [], []]
        for part in solid:
            points = part.vertices if part is scene.head else part.positions
            for corner, rows in enumerate(camera.to_optical(points)[part.triangles.T]):
                corners[corner].append(rows)
        targets = camera.to_optical(scene.head.landmarks)
        distance = first_hit(np.zeros(3), targets, [np.concatenate(c) for c in corners])
        gap = (1 - distance) * np.linalg.norm(targets, axis=1)
        places = camera.project(scene.head.landmarks)
        inside = ((places > -0.5) & (places < size - 0.5)).all(axis=1)
        agree.append(labels.visible == (inside & (gap < TOLERANCE)))
        seen.append(labels.visible)
    assert np.mean(agree) >= 0.99
    assert 0.2 < np.mean(seen) < 0.9


def test_the_mirrored_pose_gives_the_mirrored_picture_and_labels(renderer):
    pose = matrix_from_aflw(np.radians([10.0, 25.0, 12.0]))
    pictures = []
    for aligned in (pose, mirrored(pose)):
        setting = Setting(np.random.default_rng(5), PLAIN, EGGS)
        head = setting.person.mesh(None)
        rotation = face_from_aligned(aligned)
        place = np.array([0.0, 0.0, 0.8])
        marks = head.landmarks.astype(float)
        camera = framed(Camera(np.eye(3), SIZE, rotation, place), marks, 2.0, np.zeros(2))
        scene = setting.scene(head, camera)
        symmetric = replace(
            scene.light,
            harmonics=scene.light.harmonics * [[1], [1], [1], [0], [0], [1], [1], [0], [1]],
            key_color=np.zeros(3),
            lamps=scene.light.lamps * [1, 1, 1, 1, 0, 0, 0],
        )
        pictures.append(renderer.render(replace(scene, light=symmetric)))
    one, other = pictures
    flipped = other.labels.landmarks[MIRROR] * [-1, 1] + [SIZE - 1, 0]
    np.testing.assert_allclose(flipped, one.labels.landmarks, atol=1e-2)
    agreed = other.labels.visible[MIRROR] == one.labels.visible
    assert agreed.mean() > 0.95
    turned = mirrored(aligned_from_face(other.labels.R))
    assert np.degrees(geodesic(turned, aligned_from_face(one.labels.R))) < 1e-3
    face = slice(SIZE // 4, 3 * SIZE // 4)
    difference = one.image[face, face].astype(int) - other.image[face, ::-1][:, face]
    assert np.abs(difference).mean() < 4


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(renderer):
    one, again, other = (renderer.render(scene_of(i, FULL)).image for i in (4, 4, 5))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one.astype(int) - other).mean() > 5


def test_a_switch_leaves_the_rest_of_the_scene_as_it_is(renderer):
    full, bald = scene_of(2, FULL), scene_of(2, replace(FULL, hair=HairConfig(enabled=False)))
    np.testing.assert_array_equal(full.camera.rotation, bald.camera.rotation)
    np.testing.assert_array_equal(full.light.harmonics, bald.light.harmonics)
    assert not bald.hair.shells


def test_people_come_from_all_sources():
    sources = [Egg(), Egg()]
    people = [Setting(np.random.default_rng(i), PLAIN, sources).person for i in range(20)]
    assert all(source in people for source in sources)


def test_noise_of_the_sensor_is_in_all_channels():
    quiet = sample_effects(np.random.default_rng(0), EffectsConfig(enabled=False), 0.0, grey=False)
    grey = np.full((64, 64, 3), 128, np.uint8)
    spread = apply(replace(quiet, read=7.0), grey).std(axis=(0, 1))
    np.testing.assert_allclose(spread, 7.0, rtol=0.1)


def test_pores_have_the_same_size_however_the_texture_lies(renderer):
    head = Egg().mesh(None)
    turned = replace(head, uv=head.uv[:, ::-1] * [2, 0.5])
    there, other = (h.uv @ _millimetres_of_uv(h) for h in (head, turned))
    front = head.normals[:, 0] > 0.5
    np.testing.assert_allclose(np.ptp(there[front], 0), np.ptp(other[front], 0), rtol=1e-4)


def test_reading_needs_neither_opengl_nor_torch():
    code = (
        'import sys, headpose_training.data.formats; print({"moderngl", "torch"} & {*sys.modules})'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'set()\n'


def test_poses_fill_the_capped_range():
    rng = np.random.default_rng(0)
    config = PoseConfig(frontal_share=0.0)
    pose = np.array([sample_rotation(rng, config) for _ in range(1500)])
    pitch, yaw, roll = np.degrees(mnn_euler_from_matrix(pose)).T
    assert np.abs(yaw).max() <= 120 and np.abs(pitch).max() <= 75 and np.abs(roll).max() <= 90
    # Uniform over SO(3): yaw and roll are uniform, pitch has the density of a cosine.
    assert abs((np.abs(yaw) > 60).mean() - 0.5) < 0.05
    expected = (np.sin(np.radians(75)) - np.sin(np.radians(37.5))) / np.sin(np.radians(75))
    assert abs((np.abs(pitch) > 37.5).mean() - expected) < 0.05


def test_the_label_of_a_crop_does_not_depend_on_where_the_head_is_in_the_frame(renderer):
    wide = CameraConfig(size=SIZE, fov_deg=(95, 100), head_share=(0.08, 0.1))
    apart = []
    for index in range(10):
        labels = renderer.render(scene_of(index, replace(PLAIN, camera=wide))).labels
        asked = sample_rotation(
            Setting(np.random.default_rng(index), PLAIN, EGGS).stream('pose'), PoseConfig()
        )
        # The middle of the landmarks lies a little off the middle of the head.
        assert np.degrees(geodesic(aligned_from_face(labels.facing), asked)) < 6
        apart.append(np.degrees(geodesic(labels.R, labels.facing)))
    assert max(apart) > 20


def test_harmonics_give_the_irradiance_of_a_panorama():
    rng = np.random.default_rng(0)
    panorama = rng.random((*lighting.SHAPE, 1)) * np.exp(lighting.directions() @ [[1], [2], [0.5]])
    panorama = np.repeat(panorama, 3, axis=2)
    normal = np.array([0.6, 0.0, -0.8])
    cosine = np.maximum(lighting.directions() @ normal, 0)[..., None]
    exact = 4 * (panorama * cosine * lighting.weights()[..., None]).sum(axis=(0, 1))
    ours = lighting.basis(normal) @ lighting.harmonics_of(panorama)
    np.testing.assert_allclose(ours, exact, rtol=0.06)


@pytest.mark.parametrize(
    'solid', [ball([0.1, 0.2, 0.3], [1, 1, 1], 0.3), tube(np.eye(3) * 3, 0.1, [1, 1, 1])]
)
def test_triangles_turn_as_their_normals_point(solid):
    a, b, c = (solid.positions[solid.triangles[:, i]] for i in range(3))
    turned = np.cross(b - a, c - a)
    agree = np.einsum('fi,fi->f', turned, solid.normals[solid.triangles[:, 0]])
    real = np.linalg.norm(turned, axis=1) > 1e-9
    assert (agree[real] > 0).mean() > 0.97


def test_a_clip_moves_smoothly_and_keeps_the_person(renderer):
    clip = Clip(1, FULL, EGGS, 'turn')
    scenes = [clip.scene(time) for time in (0.0, 0.04, 0.08)]
    turns = [s.camera.rotation for s in scenes]
    steps = np.degrees(geodesic(np.array(turns[:-1]), np.array(turns[1:])))
    assert (steps > 0.01).all() and (steps < 15).all()
    assert scenes[0].skin.melanin == scenes[2].skin.melanin
    np.testing.assert_array_equal(scenes[0].camera.K, scenes[2].camera.K)
    renderer.render(scenes[1])


def test_a_head_that_turns_leaves_its_shoulders_and_takes_its_hair_along():
    # A person with long hair.
    clip = Clip(2, FULL, EGGS, 'tilt')
    scenes = [clip.scene(time) for time in np.arange(0.0, 2.0, 0.25)]
    assert scenes[0].hair.ribbons is not None
    assert all(scene.hair.ribbons is scenes[0].hair.ribbons for scene in scenes)
    throat, crown = (
        np.ptp([s.camera.to_optical(np.array([place]))[0] for s in scenes], axis=0).max()
        for place in ([-0.1, 0.0, -0.12], [-0.1, 0.0, 0.1])
    )
    assert crown > 0.04
    assert throat < 0.5 * crown


@pytest.mark.parametrize('kind', MOTIONS)
def test_every_motion_blinks_within_ten_seconds(kind):
    motion = Motion(kind, np.random.default_rng(0))
    blinks = [motion(time).expression.blink_left for time in np.arange(0, 10, 0.02)]
    assert max(blinks) > 0.8 and min(blinks) < 0.2


def test_shards_are_read_as_labelled_faces(egg_faces, tmp_path):
    assert list(write_shards(egg_faces, tmp_path, 5, 1, shard_size=2))[-1] == 5
    reading = read_items(RENDERED, tmp_path, ())
    assert not reading.problems and len(reading.faces) == 5
    face = reading.faces[3]
    direct = egg_faces.open()(3)
    assert face.name == 'shard-00001/000003.jpg'
    np.testing.assert_array_equal(face.landmarks, direct.labels.landmarks)
    np.testing.assert_array_equal(face.rotation, aligned_from_face(direct.labels.facing))
    assert np.abs(face.read_image().astype(int) - direct.image).mean() < 6
    assert abs(face.depth.mean()) < 1e-9


def test_faces_with_hardly_a_visible_landmark_are_kept_but_not_read(egg_faces, tmp_path):
    list(write_shards(egg_faces, tmp_path, 3, 1))
    file = tmp_path / 'shard-00000' / 'labels.npz'
    with np.load(file) as data:
        rows = dict(data)
    rows['visible'][:] = False
    for row, seen in enumerate((10, 11, 68)):
        rows['visible'][row, :seen] = True
    np.savez(file, **rows)
    reading = read_items(RENDERED, tmp_path, ())
    assert not reading.problems
    assert [face.name[-10:] for face in reading.faces] == ['000001.jpg', '000002.jpg']


_POOL = r"""
import os, sys, time
from headpose_training.synthesis.dataset import Writers

class Idle:
    def open(self):
        # One write a line: print writes the line's end apart, and both processes share the pipe.
        os.write(1, f'{os.getpid()}\n'.encode())
        return self

if __name__ == '__main__':
    with Writers(Idle(), 2) as writers:
        for _ in range(2):
            writers._pool.submit(time.sleep, 0.5)
        time.sleep(100)
"""


def test_the_processes_of_a_killed_render_end_too(tmp_path):
    (tmp_path / 'pool.py').write_text(_POOL)
    command = [sys.executable, str(tmp_path / 'pool.py')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        process.kill()
    end = time.monotonic() + 60
    while any(Path(f'/proc/{worker}').exists() for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_full_disk_leaves_complete_shards_and_the_next_run_goes_on(
    egg_faces, tmp_path, monkeypatch
):
    written = Path.write_bytes

    def full(self, data):
        if self.name == '000003.jpg':
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(self, data)

    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(TrainingError, match=r'No space left.*start the same command again'):
        list(write_shards(egg_faces, tmp_path, 4, 1, shard_size=2))
    assert [p.name for p in sorted(tmp_path.iterdir())] == ['render.json', 'shard-00000']
    monkeypatch.setattr(Path, 'write_bytes', written)
    first = (tmp_path / 'shard-00000' / 'labels.npz').stat().st_mtime_ns
    counts = list(write_shards(egg_faces, tmp_path, 4, 1, shard_size=2))
    assert counts[0] == 2 and counts[-1] == 4
    assert (tmp_path / 'shard-00000' / 'labels.npz').stat().st_mtime_ns == first


def test_a_folder_with_other_faces_is_refused(egg_faces, tmp_path):
    list(write_shards(egg_faces, tmp_path, 1, 1))
    with pytest.raises(TrainingError, match=r'another seed: choose another folder'):
        list(write_shards(replace(egg_faces, seed=4), tmp_path, 1, 1))


def test_faces_on_the_fly_are_those_of_the_files(egg_faces):
    faces = iter(RenderedFaces(egg_faces, start=7))
    next(faces)
    np.testing.assert_array_equal(next(faces).image, egg_faces.open()(8).image)


def test_a_sheet_is_one_picture(egg_faces, tmp_path):
    render_command(tmp_path / 'sheet.png', 3, size=64, sheet=True, workers=1)
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape == (64, 192, 3)


def test_the_worth_of_rendered_faces_is_studied_and_resumed(egg_faces, real_faces, tmp_path):
    config = Path(__file__).parents[1] / 'configs' / 'rendering_worth.yaml'
    # An epoch without a validation, as the last ones of a run may be, leaves a checkpoint, too.
    words = ['--trainer.limit_train_batches=2', '--data.workers=0', '--data.batch_size=4']
    words += ['--compile=false']  # half a minute of processor time for each of four short runs
    sizes = {'epochs': 2, 'faces': 9, 'judged': 20, 'workers': 1, 'ablated': 0}
    rendering_worth(config, real_faces, tmp_path, fit_arguments=words, **sizes)
    content = json.loads((tmp_path / 'rendering_worth.json').read_text())
    rows = {row['name']: row for row in content['rows']}
    mixtures = ['photographs', 'rendered faces', 'both']
    assert list(rows) == [*mixtures, 'rendered faces, then photographs']
    judged = rows['both']['small']['faces'] + rows['both']['large']['faces']
    assert judged == len(read_items(RENDERED, tmp_path / 'faces' / 'judge', ()).faces)
    table = (tmp_path / 'rendering_worth.md').read_text()
    assert '| both |' in table
    runs = sorted(tmp_path.glob('trained on/*/newest.ckpt'))
    written = [run.stat().st_mtime_ns for run in runs]
    rendering_worth(config, real_faces, tmp_path, fit_arguments=words, **sizes, overwrite=True)
    assert [run.stat().st_mtime_ns for run in runs] == written
    assert len(runs) == 4
    assert (tmp_path / 'rendering_worth.md').read_text() == table


def test_weights_are_judged_in_use(egg_faces, real_faces, tmp_path):
    list(write_shards(egg_faces, tmp_path / 'rendered', 12, 1))
    judge_weights(real_faces, tmp_path / 'rendered', tmp_path / 'rendered', tmp_path)
    content = json.loads((tmp_path / 'weights.json').read_text())
    rows = {row['condition']: row for row in content['rows']}
    assert rows['photographs, x15']['nme']['value'] > 2 * rows['photographs']['nme']['value']
    assert rows['photographs']['faces'] == 8
    for name in (name for name in rows if name.startswith('rendered, yaw')):
        assert rows[name.replace('rendered', 'rendered upright')]['faces'] == rows[name]['faces']
    assert 'rendered, yaw 0 to 30 degrees' in rows
    (trust,) = content['trust'].values()
    assert trust['jitter of yaw (deg)']['value'] > 0
    assert 0 <= trust['faces withheld (%)']['value'] <= 100
    assert '| jitter of yaw (deg) |' in (tmp_path / 'weights.md').read_text()


def test_poses_of_exact_crops_are_right_in_the_camera(egg_faces, tmp_path):
    list(write_shards(egg_faces, tmp_path / 'rendered', 40, 1))
    viewing_ray(tmp_path / 'rendered', tmp_path)
    everything = json.loads((tmp_path / 'viewing_ray.json').read_text())['rows'][-1]
    assert everything['corrected']['value'] < 1
    assert everything['uncorrected']['value'] > 5 * everything['corrected']['value']
    assert '| all |' in (tmp_path / 'viewing_ray.md').read_text()


def test_a_process_that_renders_can_train_afterwards():
    script = (
        'from headpose_training.synthesis.render.renderer import Renderer\n'
        'Renderer(64)\n'
        'import torch._dynamo'
    )
    subprocess.run([sys.executable, '-c', script], check=True)


def test_without_egl_one_line_names_the_packages(monkeypatch):
    def missing(**options):
        raise ImportError('libEGL.so not found')

    monkeypatch.setattr(context.moderngl, 'create_standalone_context', missing)
    with pytest.raises(TrainingError, match=r'libegl1 and libgl1-mesa-dri') as error:
        context.make_context()
    assert '\n' not in str(error.value)


def test_a_broken_panorama_is_named(tmp_path):
    (tmp_path / 'sky.hdr').write_bytes(b'no picture')
    with pytest.raises(TrainingError, match=r'sky\.hdr is not a Radiance'):
        lighting.read_panorama(tmp_path / 'sky.hdr')
    with pytest.raises(TrainingError, match=r'has no \.hdr files'):
        lighting.panorama_files(tmp_path / 'nothing')
