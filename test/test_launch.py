"""What the launch files make of their arguments, with stand-ins for the launch system."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import launch_stand_ins as stand_ins
import pytest

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS = {
    *('source', 'image_topic', 'camera_info_topic', 'horizontal_fov', 'move_still'),
    *('model', 'device', 'params_file', 'overlay', 'rviz', 'namespace', 'use_sim_time'),
    *('respawn', 'required', 'log_level'),
}


class LaunchFile:
    """One of our launch files, executed."""

    def __init__(self, name: str) -> None:
        spec = importlib.util.spec_from_file_location(name, ROOT / 'launch' / f'{name}.launch.py')
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        *self.arguments, self.function = module.generate_launch_description().entities
        self.defaults = {a.name: a.kwargs['default_value'] for a in self.arguments}

    def actions(self, **given: str) -> list[Any]:
        assert given.keys() <= self.defaults.keys()
        context = SimpleNamespace(launch_configurations=self.defaults | given)
        return self.function.kwargs['function'](context)

    def nodes(self, **given: str) -> dict[str, dict[str, Any]]:
        actions = self.actions(**given)
        nodes = [action.kwargs for action in actions if isinstance(action, stand_ins.Node)]
        return {node['name']: node for node in nodes}

    def parameters(self, node: str, **given: str) -> Any:
        return self.nodes(**given)[node]['parameters']


@pytest.fixture
def packages() -> set[str]:
    """Names of packages that are installed."""
    return {'rviz2'}


@pytest.fixture
def file(packages: set[str], monkeypatch: Any) -> Callable[[str], LaunchFile]:
    for name, module in stand_ins.modules(ROOT, packages).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, 'headpose_ros.launch_arguments', raising=False)
    yield LaunchFile
    # The next test makes it anew, from its own stand-ins.
    sys.modules.pop('headpose_ros.launch_arguments', None)


@pytest.fixture
def pose(file: Any) -> LaunchFile:
    return file('pose')


@pytest.fixture
def driver(file: Any) -> LaunchFile:
    return file('driver_monitoring')


def test_every_argument_is_described_and_there_for_both(pose: Any, driver: Any) -> None:
    assert set(pose.defaults) == ARGUMENTS
    assert set(driver.defaults) == ARGUMENTS | {'pose', 'zones', 'drive'}
    for argument in driver.arguments:
        assert argument.kwargs['description'].endswith('.')
        choices = argument.kwargs['choices']
        assert choices is None or driver.defaults[argument.name] in choices


def test_nodes_have_names_so_that_their_parameters_are_theirs(pose: Any) -> None:
    nodes = pose.nodes(source='0', overlay='true', rviz='true')
    executables = {name: node['executable'] for name, node in nodes.items()}
    assert executables == {
        'pose': 'pose_node',
        'camera': 'camera_node',
        'overlay': 'overlay_node',
        'rviz2': 'rviz2',
    }


def test_an_argument_that_is_not_given_changes_no_parameter(pose: Any, driver: Any) -> None:
    for node in (*pose.nodes(overlay='true', rviz='true').values(), *driver.nodes().values()):
        assert node['parameters'] is None
        assert node.get('ros_arguments') is None
    assert pose.parameters('camera', source='a.mp4') == [{'source': 'a.mp4'}]


def test_what_is_given_beats_the_file(pose: Any) -> None:
    given = {'params_file': 'mine.yaml', 'device': 'cpu', 'use_sim_time': 'false'}
    assert pose.parameters('pose', **given) == [
        'mine.yaml',
        {'network.device': 'cpu', 'use_sim_time': False},
    ]
    assert pose.parameters('overlay', overlay='true', params_file='a.yaml') == ['a.yaml']
    assert pose.parameters('rviz2', rviz='true', use_sim_time='true') == [{'use_sim_time': True}]


@pytest.mark.parametrize('text', ['0', 'true', '1e3', '[a]', "it's"])
def test_texts_stay_texts(pose: Any, text: str) -> None:
    assert pose.parameters('camera', source=text) == [{'source': text}]
    assert pose.parameters('pose', model=text) == [{'network.model': text}]


def test_still_images_stand_still_unless_told_and_may_be_calibrated(pose: Any) -> None:
    own = {'source': 'a.png', 'move_still': 'true', 'horizontal_fov': '1'}
    values = pose.parameters('camera', **own)[0]
    assert values == {'source': 'a.png', 'move_still': True, 'horizontal_fov': 1.0}
    assert type(values['horizontal_fov']) is float
    # The node refuses it in one line of its own.
    bad = pose.parameters('camera', source='a.png', horizontal_fov='wide')[0]
    assert bad['horizontal_fov'] == 'wide'


def test_topics_are_remapped_for_every_node(pose: Any) -> None:
    topics = {'image_topic': '/front/image', 'camera_info_topic': '/front/info'}
    for node in pose.nodes(source='0', overlay='true', rviz='true', **topics).values():
        assert node['remappings'] == [
            ('camera/image_raw', '/front/image'),
            ('camera/image_raw/compressed', '/front/image/compressed'),
            ('camera/camera_info', '/front/info'),
        ]


def test_driver_monitoring_passes_every_argument_on_and_starts_one_rviz(driver: Any) -> None:
    own = {'source': '0', 'model': 'mnn', 'params_file': 'a.yaml', 'use_sim_time': 'true'}
    node, include, rviz = driver.actions(rviz='true', drive='right_hand', **own)
    assert node.kwargs['parameters'] == ['a.yaml', {'drive': 'right_hand', 'use_sim_time': True}]
    passed = dict(include.kwargs['launch_arguments'])
    assert passed == {name: driver.defaults[name] for name in ARGUMENTS} | own
    assert passed['rviz'] == 'false'
    assert rviz.kwargs['arguments'] == ['-d', str(ROOT / 'config' / 'driver.rviz')]
    assert include.args[0].args == (str(ROOT / 'launch' / 'pose.launch.py'),)
    assert len(driver.actions(pose='false')) == 1


@pytest.mark.parametrize('packages', [set()])
def test_without_rviz_everything_else_starts(pose: Any, driver: Any) -> None:
    for file in (pose, driver):
        *others, message = file.actions(rviz='true')
        assert len(others) == len(file.actions())
        assert 'rviz2 is not installed' in message.kwargs['msg']


def test_nodes_are_started_again_only_when_asked(pose: Any) -> None:
    assert not pose.nodes()['pose']['respawn']
    assert 'respawn_max_retries' not in pose.nodes()['pose']
    for node in pose.nodes(source='0', overlay='true', respawn='true').values():
        assert (node['respawn'], node['respawn_delay']) == (True, 2.0)
        assert node['respawn_max_retries'] == 100


def ended(code: int, is_shutdown: bool = False) -> tuple[Any, Any]:
    event = SimpleNamespace(process_name='pose_node-1', returncode=code)
    return event, SimpleNamespace(is_shutdown=is_shutdown)


def test_a_required_node_ends_the_launch(pose: Any) -> None:
    assert pose.nodes()['pose']['on_exit'] is None
    end = pose.nodes(required='true')['pose']['on_exit']
    with pytest.raises(RuntimeError, match='pose_node-1 ended with code 2'):
        end(*ended(2))
    assert 'pose_node-1 has ended' in end(*ended(0)).kwargs['reason']
    assert end(*ended(2, is_shutdown=True)) is None


def test_a_required_node_that_is_started_again_ends_the_launch_when_given_up(pose: Any) -> None:
    end = pose.nodes(required='true', respawn='true')['pose']['on_exit']
    assert [end(*ended(2)) for _ in range(100)] == [None] * 100
    with pytest.raises(RuntimeError):
        end(*ended(2))


def test_launch_without_a_limit_of_restarts_starts_again_for_ever(pose: Any) -> None:
    class Humbles:
        def __init__(self, *, respawn: bool = False, respawn_delay: float = 0.0) -> None:
            """Has no respawn_max_retries."""

    sys.modules['headpose_ros.launch_arguments'].ExecuteLocal = Humbles
    node = pose.nodes(required='true', respawn='true')['pose']
    assert node['respawn'] and 'respawn_max_retries' not in node
    assert [node['on_exit'](*ended(2)) for _ in range(200)] == [None] * 200


def test_the_shared_arguments_load_nothing_that_computes() -> None:
    code = (
        'import sys\n'
        f'sys.path.insert(0, {str(ROOT / "test")!r})\n'
        'import launch_stand_ins\n'
        "sys.modules.update(launch_stand_ins.modules('.', set()))\n"
        'import headpose_ros.launch_arguments\n'
        "bad = {'rclpy', 'numpy', 'cv2', 'torch', 'headpose_ros.errors'} & set(sys.modules)\n"
        'sys.exit(str(bad) if bad else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
