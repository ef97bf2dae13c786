"""What the documentation promises: commands, names, files, messages and figures."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import launch_stand_ins as stand_ins
import pytest
import yaml
from doc_pages import PAGES, REFERENCE, ROOT, blocks, commands, inline, name

from headpose_ros import cli

DOCS = ROOT / 'docs'
#: Their files are named in texts without the ending.
FOLDERS = ('config', 'test', 'training/teachers')
#: Names in backticks that are those of other projects.
OTHERS = {
    *('camera_calibration', 'camera_info_manager', 'image_transport', 'stereo_image_proc'),
    *('avx512_bf16', 'amx_bf16', 'mkldnn_convolution', 'native_batch_norm', 'num_nodes'),
    *('ddp_find_unused_parameters_true', 'camera_optical'),
    # ROS4HRI's
    *('hri_face_detect', 'hri_person_manager', 'match_threshold', 'reference_frame'),
    *('body_id', 'voice_id', 'native_language', 'focus_'),
}


def every_command(*start: str) -> Iterator[Any]:
    """Yield the commands of the reference that start with these words, without them."""
    for page in REFERENCE:
        for words in commands(page):
            if tuple(words[: len(start)]) == start:
                yield pytest.param(words[len(start) :], id=f'{name(page)}: {" ".join(words)}'[:90])


@pytest.mark.parametrize(
    'words', [*every_command('headpose'), *every_command('ros2', 'run', 'headpose_ros', 'headpose')]
)
def test_the_parser_takes_a_headpose_command(words: list[str]) -> None:
    _, rest = cli._parser().parse_known_args(words)
    assert not rest or rest[0] == '--ros-args'
    check_ros_arguments(rest, {'camera', 'pose'})


@pytest.mark.parametrize(
    'words',
    [
        *every_command('ros2', 'run', 'headpose_ros'),
        *(
            pytest.param([program, *case.values[0]], id=case.id)
            for program in ('camera_node', 'driver_node', 'overlay_node', 'pose_node')
            for case in every_command(program)
        ),
    ],
)
def test_a_program_and_its_parameters_exist(words: list[str]) -> None:
    program, *rest = words
    assert (ROOT / 'scripts' / program).is_file()
    if program != 'headpose':
        check_ros_arguments(rest, {program.removesuffix('_node')})


def check_ros_arguments(words: list[str], nodes: set[str]) -> None:
    """Check parameters against the rules of the nodes, and remapped topics against the sources."""
    for flag, value in pairwise(words):
        key, _, text = value.partition(':=')
        if flag == '-r':
            assert key.lstrip('/') in sources(), value
        if flag != '-p':
            continue
        known = [config for node in nodes if (config := configurations()[node])]
        assert any(accepts(config, key, yaml.safe_load(text)) for config in known), value


def configurations() -> dict[str, Any]:
    pytest.importorskip('rclpy')
    from headpose_ros.nodes.camera import CameraConfig
    from headpose_ros.nodes.driver_parameters import DriverConfig
    from headpose_ros.nodes.overlay import OverlayConfig
    from headpose_ros.nodes.pose_parameters import PoseConfig

    return {
        'camera': CameraConfig,
        'driver': DriverConfig,
        'overlay': OverlayConfig,
        'pose': PoseConfig,
    }


def accepts(config: Any, key: str, value: Any) -> bool:
    from headpose_ros.ros.node.parameters import rules, validate

    return key in rules(config) and validate(config, key, value) is not None


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_parameters_in_yaml_exist(page: Path) -> None:
    for block in blocks(page, 'yaml'):
        for node, content in yaml.safe_load(block).items():
            if not isinstance(content, dict) or 'ros__parameters' not in content:
                continue
            config = configurations()[node.rpartition('/')[2]]
            for key, value in flat(content['ros__parameters']):
                assert accepts(config, key, value), f'{node}: {key}'


def flat(values: dict[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


@pytest.fixture(scope='module')
def launch_arguments() -> Iterator[dict[str, dict[str, Any]]]:
    """Give the arguments of both launch files, by name."""
    with pytest.MonkeyPatch.context() as patch:
        for module, stand_in in stand_ins.modules(ROOT, set()).items():
            patch.setitem(sys.modules, module, stand_in)
        patch.delitem(sys.modules, 'headpose_ros.launch_arguments', raising=False)
        from headpose_ros.launch_arguments import DRIVER_ARGUMENTS, POSE_ARGUMENTS

        pose = {argument.name: argument.kwargs for argument in POSE_ARGUMENTS}
        driver = {argument.name: argument.kwargs for argument in DRIVER_ARGUMENTS}
        yield {'pose.launch.py': pose, 'driver_monitoring.launch.py': pose | driver}
        sys.modules.pop('headpose_ros.launch_arguments', None)


@pytest.mark.parametrize('words', every_command('ros2', 'launch', 'headpose_ros'))
def test_a_launch_file_takes_its_arguments(words: list[str], launch_arguments: Any) -> None:
    file, *rest = words
    for word in rest:
        if word == '--show-args':
            continue
        key, found, value = word.partition(':=')
        assert found and key in launch_arguments[file], word
        choices = launch_arguments[file][key]['choices']
        assert choices is None or value in choices, word


@pytest.mark.parametrize('words', every_command('make'))
def test_a_target_exists(words: list[str]) -> None:
    targets = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(encoding='utf-8'), re.M)
    assert {word for word in words if '=' not in word and word[0] != '-'} <= set(targets)


@pytest.mark.parametrize('page', REFERENCE, ids=name)
def test_commands_in_the_text_exist(page: Path) -> None:
    subcommands = set(re.findall(r"add_parser\(\s*'(\w+)'", sources()))
    for code in inline(page):
        words = code.removeprefix('ros2 run headpose_ros ').split()
        if words[0] == 'headpose' and len(words) > 1 and words[1].islower():
            assert words[1] in subcommands, code
        if words[0] == 'make' and len(words) > 1:
            test_a_target_exists(words[1:])


@cache
def sources() -> str:
    """Return everything in which a name of the documentation may be defined."""
    folders = ('headpose_ros', 'launch', 'config', 'msg', 'srv', 'training', 'benchmarks')
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob('*'))]
    suffixes = ('.py', '.msg', '.srv', '.yaml', '.xml')
    texts = [p.read_text(encoding='utf-8') for p in paths if p.suffix in suffixes]
    return '\n'.join([*texts, (ROOT / 'package.xml').read_text(encoding='utf-8')])


def test_names_in_the_text_are_those_of_the_sources() -> None:
    """Parameters, fields, topics and options: every word with an underscore in backticks."""
    known = set(re.findall(r'[A-Za-z_]\w*', sources())) | OTHERS
    known |= {path.stem for folder in FOLDERS for path in (ROOT / folder).iterdir()}
    unknown = {
        f'{name(page)}: {code}'
        for page in REFERENCE
        for code in inline(page)
        for word in re.findall(r'(?<![\w$<-])[a-z]+(?:_[a-z0-9]+)+\b', code)
        if word not in known and not word.startswith('test_') and not (DOCS / code).exists()
    }
    assert not unknown


def test_files_named_in_texts_and_sources_exist() -> None:
    folders = 'headpose_ros|config|benchmarks|test|training|docs|srv|launch'
    path = re.compile(rf'(?<![\w./<])(?:{folders})/[\w./-]*\w\.(?:md|py|yaml|csv|xml|rviz|txt)')
    placeholders = {'config/FILE.yaml', 'docs/notes/YYYY-MM-DD_topic.md'}
    texts = {name(page): ' '.join(inline(page)) for page in REFERENCE}
    missing = {
        f'{where}: {file}'
        for where, text in {**texts, 'sources': sources()}.items()
        for file in path.findall(text)
        if not (ROOT / file).exists() and file not in placeholders
    }
    assert not missing


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    """The site checks anchors too, but does not hold the README."""
    for target in re.findall(r'\]\(([^)#\s]+)', page.read_text(encoding='utf-8')):
        if '://' not in target:
            assert (page.parent / target).exists(), target


def test_images_are_small_and_shown() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r'\]\(([^)\s]+\.(?:png|jpg))\)', page.read_text('utf-8'))
    }
    for image in [*DOCS.rglob('*.png'), *DOCS.rglob('*.jpg')]:
        if image.name not in ('faces.png', 'poses.png'):  # ignored: see .gitignore
            assert image.stat().st_size < 300_000, image
            assert image.resolve() in shown, f'{image} is on no page'


def test_the_readme_is_short() -> None:
    assert len((ROOT / 'README.md').read_text(encoding='utf-8').splitlines()) <= 120


def test_notes_are_dated() -> None:
    for note in (DOCS / 'notes').glob('*.md'):
        assert note.name == 'index.md' or re.fullmatch(r'\d{4}-\d\d-\d\d_\w+\.md', note.name)


#: Where messages are made that doctor and diagnostics show: file, and the functions that make them.
MESSAGES = {
    'headpose_ros/tools/doctor.py': None,
    'headpose_ros/ros/node/diagnostics.py': None,
    'headpose_ros/ros/output/tf.py': ('frame_problem',),
    'headpose_ros/nodes/pose.py': ('_output_findings', '_node_findings', '_stall_findings'),
    'headpose_ros/nodes/camera.py': ('_statuses',),
    'headpose_ros/nodes/driver.py': ('_problem',),
    'headpose_ros/perception/device.py': ('why_no_gpu',),
}


def messages() -> Iterator[Any]:
    for file, functions in MESSAGES.items():
        tree = ast.parse((ROOT / file).read_text(encoding='utf-8'))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and (
                functions is None or function.name in functions
            ):
                yield from (pytest.param(m, id=' '.join(m)[:70]) for m in sentences(function))
    tree = ast.parse((ROOT / 'headpose_ros/ros/node/diagnostics.py').read_text(encoding='utf-8'))
    for node in tree.body:  # the statuses that are constants
        if isinstance(node, ast.Assign):
            yield from (pytest.param(m, id=' '.join(m)[:70]) for m in sentences(node))


def sentences(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the texts of a function that are messages, each as what stands between its values."""
    documentation = (
        ast.get_docstring(node, clean=False) if isinstance(node, ast.FunctionDef) else ''
    )
    inner = {
        id(part)
        for text in ast.walk(node)
        if isinstance(text, ast.JoinedStr)
        for part in text.values
    }
    for text in ast.walk(node):
        if isinstance(text, ast.JoinedStr):
            parts = [p.value for p in text.values if isinstance(p, ast.Constant)]
        elif (
            isinstance(text, ast.Constant) and isinstance(text.value, str) and id(text) not in inner
        ):
            parts = [text.value]
        else:
            continue
        if len(''.join(parts).split()) >= 3 and parts != [documentation]:
            yield tuple(part.strip() for part in parts if part.strip())


@pytest.mark.parametrize('parts', messages())
def test_troubleshooting_has_every_message(parts: tuple[str, ...]) -> None:
    page = ' '.join((DOCS / 'troubleshooting.md').read_text(encoding='utf-8').split())
    pattern = '.{0,90}?'.join(re.escape(' '.join(part.split())) for part in parts)
    assert re.search(pattern, page), f'docs/troubleshooting.md lacks {" ... ".join(parts)!r}'


def test_figures_of_the_weights_are_those_of_the_study() -> None:
    """Stale otherwise: headpose-train study-weights writes the table that both pages quote."""
    study = (DOCS / 'studies' / 'weights.md').read_text(encoding='utf-8')
    figure = re.compile(r'([\d.]+)(?:°| %)? (\([\d.]+ to [\d.]+\))')
    for page in (DOCS / 'weights.md', ROOT / 'README.md'):
        for value, interval in figure.findall(page.read_text(encoding='utf-8')):
            assert f'{value} {interval}' in study, f'{name(page)}: {value} {interval}'


def test_figures_of_the_driver_are_those_of_the_study() -> None:
    """Stale otherwise: headpose-train judge-driver-rendered writes the table that is quoted."""
    study = (DOCS / 'studies' / 'driver_rendered.md').read_text(encoding='utf-8')
    page = (DOCS / 'nodes' / 'driver.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| [^|]+ \| (\d+) \| ([\d.]+) \| ([\d.]+) \| -?[\d.]+ s \|$', page, re.M)
    assert rows
    for events, precision, recall in rows:
        assert re.search(rf'\| {events} \| \d+ \| {precision} \| {recall} \|', study), events


def test_the_page_of_times_is_made_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('rclpy', reason='rclpy, which the page of a live node needs')
    import json

    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    import run

    content = json.loads((DOCS / 'performance.json').read_text(encoding='utf-8'))
    assert (DOCS / 'performance.md').read_text(encoding='utf-8') == run.page(content)
