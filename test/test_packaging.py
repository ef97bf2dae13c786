"""The package as a package: its manifests agree, its messages are compiled, its files arrive."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MESSAGES = (
    *('AttendedTarget', 'Attention'),
    *('DriverEvent', 'DriverSignal', 'DriverState'),
    *('Face', 'Faces', 'FacialLandmarks', 'HeadPose'),
)
SERVICES = ('CalibrateZone', 'StoreDriver')
TF_MESSAGE_HASH = 'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087'

# Module -> key in package.xml, where the names differ.
ROSDEP_KEYS = {
    'cv2': 'python3-opencv',
    'hypothesis': 'python3-hypothesis',
    'numpy': 'python3-numpy',
    'pytest': 'python3-pytest',
    'scipy': 'python3-scipy',
    'tf2_ros': 'tf2_ros_py',
    'yaml': 'python3-yaml',
}
# No usable rosdep key: the comment in package.xml sends to pip. hri_msgs is optional at run time.
NOT_IN_PACKAGE_XML = {
    'av',
    'hri_msgs',
    'onnx',
    'onnxruntime',
    'safetensors',
    'tomli',
    'torch',
    'torchvision',
}
# Of tools for a desk, which name what they miss: a robot without a screen needs none of them.
OPTIONAL_TOOLS = {
    'PIL': 'pillow',
    'aiohttp': 'aiohttp',
    'duckdb': 'duckdb',
    'fsspec': 'fsspec',
    'matplotlib': 'matplotlib',
    'mcap': 'mcap',
    'pyarrow': 'pyarrow',
    'pythonosc': 'python-osc',
    'ray': 'ray',
    'rich': 'rich',
    'rosbags': 'rosbags',
}


@pytest.fixture(scope='module')
def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / 'package.xml').getroot()


@pytest.fixture(scope='module')
def pyproject() -> str:
    # As text: tomllib is in the standard library from Python 3.11 on only.
    return (ROOT / 'pyproject.toml').read_text(encoding='utf-8')


def pyproject_list(text: str, key: str) -> dict[str, str]:
    """Requirement name -> version range of one list in pyproject.toml."""
    body = re.search(rf'^{key} = \[\n(.*?)^\]', text, re.MULTILINE | re.DOTALL)
    assert body, f'pyproject.toml has no list named {key}'
    entries = re.findall(r'^  "([\w-]+)(?:\[\w+\])?([^"]*)"', body[1], re.MULTILINE)
    return dict(entries)


def imported_modules(*folders: str) -> set[str]:
    """Top-level names that the Python files below these folders import."""
    names: set[str] = set()
    for path in (p for folder in folders for p in (ROOT / folder).rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split('.')[0])
    return names


def share_folder(package: str) -> Path:
    """Where a package's share folder was installed, by colcon or by pip."""
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    for prefix in filter(None, prefixes):
        if (found := Path(prefix) / 'share' / package).is_dir():
            return found
    pytest.fail(f'{package} is not installed: run pip install . or colcon build first')


def test_name_license_maintainer(manifest):
    assert manifest.tag == 'package'
    assert manifest.get('format') == '3'
    name = manifest.findtext('name')
    assert name == 'headpose_ros'
    # REP 144: lower case letters, digits, single underscores, starts with a letter.
    assert re.fullmatch(r'[a-z](_?[a-z0-9]+)+', name)
    assert manifest.findtext('license') == 'Apache-2.0'
    assert 'Apache License' in (ROOT / 'LICENSE').read_text(encoding='utf-8')
    # Without a valid address colcon ignores the package silently.
    assert re.fullmatch(r'[\w.-]+@[\w-]+(\.[\w-]+)+', manifest.find('maintainer').get('email'))


def test_one_version_everywhere(manifest, pyproject):
    import headpose_ros

    version = manifest.findtext('version')
    assert re.fullmatch(r'\d+\.\d+\.\d+', version)
    assert f'\nversion = "{version}"' in pyproject
    assert headpose_ros.__version__ == version


def test_no_dependency_twice(manifest):
    kinds = ('depend', 'exec_depend', 'build_depend', 'test_depend')
    names = [e.text for kind in kinds for e in manifest.findall(kind)]
    assert sorted(names) == sorted(set(names))


def test_package_xml_names_every_import(manifest):
    declared = {e.text for e in manifest if e.tag.endswith('depend')}
    modules = imported_modules('headpose_ros', 'launch', 'scripts', 'test')
    foreign = modules - set(sys.stdlib_module_names) - {'headpose_ros', 'conftest', 'tomllib'}
    local = {p.stem for folder in ('test', 'benchmarks') for p in (ROOT / folder).glob('*.py')}
    modules = foreign - NOT_IN_PACKAGE_XML - OPTIONAL_TOOLS.keys() - local
    needed = {ROSDEP_KEYS.get(m, m) for m in modules}
    assert needed <= declared, f'package.xml lacks {sorted(needed - declared)}'


def test_a_robot_installs_nothing_that_only_a_desk_needs(manifest, pyproject):
    declared = {e.text for e in manifest if e.tag == 'exec_depend'}
    desk = {'rviz2', 'rviz_default_plugins', 'python3-scipy'}
    desk |= {f'python3-{name}' for name in ('aiohttp', 'matplotlib', 'pil', 'rich')}
    assert not declared & desk
    assert not pyproject_list(pyproject, 'dependencies').keys() & set(OPTIONAL_TOOLS.values())


def test_the_extras_hold_what_the_messages_name(pyproject):
    """What a message says to install is what the extra installs, in the same ranges."""
    from headpose_ros.extras import INSTALL_TORCH, how_to_get

    extra = pyproject_list(pyproject, 'torch')
    assert set(re.findall(r"'([^']+)'", INSTALL_TORCH)) == {n + r for n, r in extra.items()}
    extras = [pyproject_list(pyproject, name) for name in ('batch', 'demo', 'tools')]
    optional = {package for extra in extras for package in extra} | {'duckdb'}
    assert optional == set(OPTIONAL_TOOLS.values())
    for module, package in OPTIONAL_TOOLS.items():
        assert how_to_get(module) == f'pip install {package}'


def test_no_text_installs_this_package_from_an_index():
    """Its name is on none: a clone is installed by its path."""
    files = [p for p in ROOT.iterdir() if p.suffix in ('.md', '.py', '.toml', '.xml')]
    for folder in ('headpose_ros', 'docs', 'launch', 'benchmarks', 'training', 'test', 'cmake'):
        files += [p for p in (ROOT / folder).rglob('*') if p.suffix in ('.md', '.py', '.toml')]
    index = re.compile(r'pip install [^\n#]*headpose[-_]ros\b')
    wrong = [str(p) for p in files if index.search(p.read_text(encoding='utf-8'))]
    assert not wrong


def test_wheels_of_build_and_run_are_the_same_release(pyproject):
    build = pyproject_list(pyproject, 'requires')
    run = pyproject_list(pyproject, 'dependencies')
    both = {name for name in build.keys() & run.keys() if name.startswith('ros-')}
    assert {'ros-std-msgs', 'ros-geometry-msgs', 'ros-sensor-msgs'} <= both
    assert {n: build[n] for n in both} == {n: run[n] for n in both}


@pytest.mark.parametrize(
    'key', ['requires', 'dependencies', 'torch', 'tools', 'demo', 'docs', 'test']
)
def test_every_requirement_is_a_range(pyproject, key):
    ranges = pyproject_list(pyproject, key)
    ranges.pop('headpose-ros', None)
    assert ranges
    for name, spec in ranges.items():
        assert spec.startswith('~=') or re.fullmatch(r'>=[\d.]+,<[\d.]+', spec), f'{name}{spec}'


@pytest.mark.parametrize(
    'file', [*(f'msg/{name}.msg' for name in MESSAGES), *(f'srv/{name}.srv' for name in SERVICES)]
)
def test_every_field_has_a_comment(file):
    """A comment block stands above the field, with nothing but other comments in between."""
    lines = (ROOT / file).read_text(encoding='utf-8').splitlines()
    assert lines[0].startswith('# '), 'an interface starts with what it is for'
    fields = [i for i, line in enumerate(lines) if line not in ('', '---') and line[0] != '#']
    assert fields
    for i in fields:
        assert lines[i - 1].startswith('#'), f'{file}:{i + 1}: no comment above {lines[i]!r}'


@pytest.mark.parametrize(('kind', 'names'), [('msg', MESSAGES), ('srv', SERVICES)])
def test_cmake_lists_every_interface(kind, names):
    text = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
    listed = re.findall(rf'{kind}/(\w+)\.{kind}', text)
    on_disk = [p.stem for p in (ROOT / kind).glob(f'*.{kind}')]
    assert sorted(listed) == sorted(on_disk) == sorted(names)


def test_import_needs_no_ros():
    """In a process of its own, because the other tests here load rclpy."""
    code = (
        'import sys, headpose_ros, headpose_ros.geometry, headpose_ros.driver_monitoring.monitor\n'
        "bad = {'rclpy', 'std_msgs', 'torch', 'cv2'} & set(sys.modules)\n"
        'sys.exit(str(bad) if bad else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_installation_holds_every_module_and_resource():
    """Fails after a new file until the package is installed again, which make test does."""
    installed = Path(importlib.util.find_spec('headpose_ros.msg').origin).parents[1]
    for source in (p for p in (ROOT / 'headpose_ros').rglob('*') if p.is_file()):
        if '__pycache__' not in source.parts:
            relative = source.relative_to(ROOT / 'headpose_ros')
            assert (installed / relative).is_file(), f'not installed: headpose_ros/{relative}'
    share = share_folder('headpose_ros')
    for folder in ('launch', 'config', 'msg', 'srv'):
        for source in (p for p in (ROOT / folder).iterdir() if p.is_file()):
            copy = share / folder / source.name
            assert copy.is_file(), f'not installed: {folder}/{source.name}'
    assert (share.parent / 'ament_index/resource_index/packages/headpose_ros').is_file()


def test_programs_are_installed():
    share = share_folder('headpose_ros')
    for name in ('camera_node', 'driver_node', 'headpose', 'overlay_node', 'pose_node'):
        program = share.parents[1] / 'lib' / 'headpose_ros' / name
        assert os.access(program, os.X_OK), f'{program} is not executable'
        if share.parents[1] == Path(sys.prefix):  # pip: console scripts too
            assert Path(sysconfig.get_path('scripts'), name).is_file()


def test_messages_round_trip():
    from rclpy.serialization import deserialize_message, serialize_message

    from headpose_ros.msg import Face, Faces, FacialLandmarks

    face = Face(id='a1', confidence=0.5)
    face.head_pose.translation_is_metric = True
    face.head_pose.pose.pose.position.z = 0.75
    face.head_pose.pose.pose.orientation.w = 0.5
    face.head_pose.pose.covariance = [float(i) for i in range(36)]
    face.head_pose.yaw, face.head_pose.pitch, face.head_pose.roll = 0.25, -0.5, 1.0
    face.landmarks.scheme = FacialLandmarks.SCHEME_IBUG_68
    face.landmarks.image_points = [float(i) for i in range(2 * 68)]
    face.landmarks.visibility = [1.0] * 68
    face.roi.x_offset, face.roi.width = 3, 4
    faces = Faces(image_width=1280, image_height=720, faces=[face, Face(id='a2')])
    faces.header.frame_id = 'camera_optical_frame'
    faces.header.stamp.nanosec = 999_999_999

    back = deserialize_message(serialize_message(faces), Faces)
    assert back == faces
    assert back.faces[0].landmarks.image_points[-1] == 135.0
    assert list(back.faces[0].head_pose.pose.covariance) == list(range(36))
    assert len(back.faces[1].landmarks.face_points) == 0


def test_landmark_scheme_constants():
    from headpose_ros.msg import FacialLandmarks

    assert (FacialLandmarks.SCHEME_NONE, FacialLandmarks.SCHEME_IBUG_68) == (0, 1)
    assert FacialLandmarks().scheme == FacialLandmarks.SCHEME_NONE


def test_tf_message_has_the_standard_type_hash():
    """Ours, where PyPI has none, must be the type that every other machine means by its name."""
    description = share_folder('tf2_msgs') / 'msg' / 'TFMessage.json'
    if not description.is_file():
        pytest.skip('this ROS 2 distribution predates type hashes (Humble)')
    hashes = json.loads(description.read_text(encoding='utf-8'))['type_hashes']
    found = {entry['type_name']: entry['hash_string'] for entry in hashes}
    assert found['tf2_msgs/msg/TFMessage'] == TF_MESSAGE_HASH
