"""No message, request or parameter ends a node or takes its next good answer away."""

from __future__ import annotations

import inspect
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy')
pytest.importorskip('aiohttp', reason="pip install '.[tools]'")
pytest.importorskip('mcap', reason="pip install '.[demo]'")
sys.path.append(str(Path(__file__).parents[1] / 'benchmarks'))

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from odd_messages import fields, odd_values, spoiled
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.event_handler import EventHandler
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from test_driver import a_face
from tf2_msgs.msg import TFMessage

from headpose_ros.demo.recording import Recorder, drive_topics
from headpose_ros.errors import HeadposeError
from headpose_ros.msg import DriverState, Faces
from headpose_ros.nodes.camera import CameraNode
from headpose_ros.nodes.driver import DriverNode
from headpose_ros.nodes.overlay import OverlayNode
from headpose_ros.nodes.pose import PoseNode
from headpose_ros.ros.input.calibration import pinhole
from headpose_ros.ros.input.camera_info import CameraInfoError, camera_model
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import callbacks, qos
from headpose_ros.ros.node.callbacks import (
    Failures,
    GuardedNode,
    NodeEnded,
    behind_barrier,
    describe,
)
from headpose_ros.ros.node.diagnostics import OK, WARN, failure_status
from headpose_ros.ros.output.messages import faces_message, located
from headpose_ros.sources.photograph import photograph
from headpose_ros.tools.view import Viewer

FRAME = 'cabin_optical_frame'
SIZE = (640, 480)
TIMEOUT = 60.0
#: What describes an exception that nobody foresaw ends so.
UNFORESEEN = re.compile(r'\(\w+\.py:\d+\)$')
#: What a node remembers makes an example another one when it is tried again.
PATIENT = settings(
    max_examples=40,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
QUICK = settings(PATIENT, max_examples=120)


@pytest.fixture(scope='module')
def photo() -> np.ndarray:
    return np.ascontiguousarray(photograph()[::2, ::2])


@pytest.fixture
def make(ros: int) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a node with parameters, `a__b` for `a.b`.

    All nodes are destroyed with the test.
    """
    made: list[Node] = []

    def make_one(kind: Any, *arguments: Any, **parameters: Any) -> Any:
        named = {name.replace('__', '.'): value for name, value in parameters.items()}
        overrides = [Parameter(name, value=value) for name, value in named.items()]
        given_ = {'parameter_overrides': overrides} if overrides else {}
        made.append(kind(*arguments, **given_))
        return made[-1]

    yield make_one
    for node in made:
        node.destroy_node()


def picker(data: st.DataObject) -> Callable[[Sequence[Any]], Any]:
    return lambda items: data.draw(st.sampled_from(items))


def header(second: int) -> Header:
    return Header(stamp=Time(sec=second), frame_id=FRAME)


def some_faces(second: int) -> Faces:
    known = {name: np.full(68, 0.9) for name in ('visibility', 'landmark_confidence')}
    seen = replace(a_face(), landmarks=np.full((68, 2), 200.0), **known)
    faces = [located(face, None) for face in (seen, a_face(name='f2'))]
    return faces_message(header(second), SIZE, faces)


def grey(second: int) -> Image:
    return encode_bgr(np.full((48, 64, 3), 90, np.uint8), header(second))


def receive(node: Any, topic: str, message: Any) -> None:
    """Give a node a message as an executor does."""
    (subscription,) = [s for s in node.subscriptions if s.topic_name == topic]
    subscription.callback(message)


def assert_foreseen(node: Any) -> None:
    """Everything that failed so far has an error of its own, and diagnostics can be made."""
    tick = next(t.callback for t in node.timers if 'Diagnostics' in behind_barrier(t.callback))
    tick()
    failed = [f.text for f in node.failures.recent() if f.place != '/clock']  # rclpy's own
    assert [text for text in failed if UNFORESEEN.search(text)] == []
    assert '/diagnostics' not in node.failures.counts()


def callbacks_of(node: Any) -> dict[str, Any]:
    """Return everything that rclpy calls of a node, by what it is."""
    found = {f'subscription {s.topic_name}': s.callback for s in node.subscriptions}
    found |= {f'service {s.service_name}': s.callback for s in node.services}
    found |= {f'timer {index}': timer.callback for index, timer in enumerate(node.timers)}
    found |= {f'guard {index}': guard.callback for index, guard in enumerate(node.guards)}
    events = [one for one in node.waitables if isinstance(one, EventHandler)]
    found |= {f'event {index}': event.callback for index, event in enumerate(events)}
    for when in ('pre', 'on', 'post'):
        listed = getattr(node, f'_{when}_set_parameters_callbacks')
        found |= {f'{when}_set_parameters {i}': callback for i, callback in enumerate(listed)}
    return found


def seeing_overlay() -> OverlayNode:
    """Return an overlay node that somebody looks at."""
    node = OverlayNode()
    looker = Node('looker')
    looker.create_subscription(Image, 'overlay', lambda _: None, qos.reliable())
    node.looker = looker  # type: ignore[attr-defined]
    end = time.monotonic() + TIMEOUT
    while not node._pictures.get_subscription_count() and time.monotonic() < end:
        time.sleep(0.01)
    node._look()
    return node


def recorder(folder: Path, *rest: Any) -> Recorder:
    return Recorder(folder / 'drive.mcap', drive_topics(), *rest)


def test_every_callback_of_every_node_is_behind_the_barrier(make: Any, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((6, 8, 3), np.uint8))
    nodes = [
        make(
            PoseNode,
            network__device='cpu',
            input__depth=True,
            output__frame='map',
            use_sim_time=True,
        ),
        make(CameraNode, source=str(tmp_path)),
        make(DriverNode),
        make(seeing_overlay),
        make(Viewer),
        make(recorder, tmp_path),
    ]
    for node in nodes:
        found = callbacks_of(node)
        # Parameters alone are six services.
        assert len(found) > 6, node
        assert {name: c for name, c in found.items() if behind_barrier(c) is None} == {}, node


def test_no_node_of_the_package_is_without_barrier() -> None:
    def derived(kind: type) -> Iterator[type]:
        for one in kind.__subclasses__():
            yield one
            yield from derived(one)

    ours = {kind for kind in derived(Node) if kind.__module__.startswith('headpose_ros.')}
    assert len(ours) > 6
    assert {kind for kind in ours if not issubclass(kind, GuardedNode)} == set()
    sources = Path(inspect.getfile(callbacks)).parents[1].rglob('*.py')
    assert [file for file in sources if 'create_node(' in file.read_text()] == []


class Careless(GuardedNode):
    """Fails in every kind of callback that there is, once each is called."""

    def __init__(self) -> None:
        super().__init__('careless')
        self.messages: list[str] = []
        self.create_subscription(Header, 'topic', self._take, qos.reliable())
        self.create_service(Trigger, 'service', self._serve)
        self.create_timer(0.01, self._tick)
        self.guard = self.create_guard_condition(self._tick)
        self.declare_parameter('number', 1)
        self.add_on_set_parameters_callback(self._judge)
        self.add_pre_set_parameters_callback(self._judge)
        self.add_post_set_parameters_callback(self._judge)

    def _take(self, message: Header) -> None:
        if message.frame_id == 'panic':
            raise Panic('not even an Exception')
        if message.frame_id:
            raise RuntimeError(f'bad\n{message.frame_id}')
        self.messages.append(message.frame_id)

    def _serve(self, request: Any, response: Any) -> Any:
        response.success = True
        raise ValueError('no such driver')

    def _tick(self) -> None:
        raise ZeroDivisionError('tick')

    def _judge(self, parameters: Any) -> Any:
        raise KeyError('limits')


class Panic(BaseException):
    """As an extension in Rust raises it."""


def test_what_fails_is_counted_and_the_next_is_answered(
    make: Any, capfd: Any, monkeypatch: Any
) -> None:
    for period in ('RECENT', 'LOG_PERIOD'):  # longer than a busy machine takes for this test
        monkeypatch.setattr(callbacks, period, 10 * TIMEOUT)
    node, other = make(Careless), make(Node, 'other')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(other)
    publisher = other.create_publisher(Header, 'topic', qos.reliable())
    client = other.create_client(Trigger, 'service')

    def until(predicate: Callable[[], Any]) -> bool:
        end = time.monotonic() + TIMEOUT
        while not predicate() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        return bool(predicate())

    try:
        assert until(publisher.get_subscription_count)
        for text in ('one', 'panic', 'x' * 100_000, ''):
            publisher.publish(Header(frame_id=text))
        assert until(lambda: node.messages)
        node.guard.trigger()
        assert until(client.service_is_ready)
        answer = client.call_async(Trigger.Request())
        assert until(answer.done)
        counts = node.failures.counts
        assert until(lambda: counts().get('guard condition Careless._tick'))
        assert until(lambda: counts().get('timer Careless._tick'))
    finally:
        executor.shutdown()
    assert not answer.result().success and 'no such driver' in answer.result().message
    (result,) = node.set_parameters([Parameter('number', value=2)])
    assert not result.successful and 'limits' in result.reason
    assert counts()['/topic'] == 3 and counts()['/service'] == 1
    assert counts()['parameters'] == 2
    log = ''.join(capfd.readouterr())
    # Once for each place, with the reason; what a message holds does not fill the log.
    assert log.count('/topic: ') == 1 and '/topic: RuntimeError: bad one (test_barrier.py:' in log
    assert max(map(len, log.splitlines())) < 1000
    status = failure_status('careless', node.failures)
    assert status.level == WARN and '/service: ValueError: no such driver' in status.message
    assert {value.key: value.value for value in status.values}['/topic'] == '3'


def test_a_failure_is_diagnosed_while_it_is_new_and_counted_for_ever(monkeypatch: Any) -> None:
    now, lines = [100.0], []
    monkeypatch.setattr(callbacks.time, 'monotonic', lambda: now[0])
    failures = Failures(lines.append)
    for second in range(8):
        now[0] = 100.0 + second
        failures.note('/faces', HeadposeError(f'bad {second}'))
    assert lines == ['/faces: bad 0', '/faces: bad 5']
    failures.note('/other', HeadposeError('bad'))
    assert failure_status('n', failures).level == WARN
    now[0] += callbacks.RECENT + 1
    status = failure_status('n', failures)
    assert (status.level, status.message) == (OK, 'OK')
    assert failures.counts() == {'/faces': 8, '/other': 1}


def test_a_node_that_is_told_to_end_ends_whoever_spins_it(make: Any) -> None:
    node = make(Careless)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    node.end('no camera')
    try:
        with pytest.raises(NodeEnded, match='careless: no camera'):
            for _ in range(1000):
                executor.spin_once(timeout_sec=1.0)
    finally:
        executor.shutdown()


def test_errors_are_one_line_of_bounded_length() -> None:
    assert describe(HeadposeError('a\n b')) == 'a b'
    assert len(describe(ValueError('x' * 10**6))) < 400


class Eyes:
    """Messages of one camera for a pose node in this process, and what became of them."""

    def __init__(self, node: PoseNode, photo: np.ndarray) -> None:
        self.node, self.photo, self.second = node, photo, 1000

    def next(self) -> Header:
        self.second += 10
        return header(self.second)

    def image(self) -> Any:
        return encode_bgr(self.photo, self.next())

    def compressed(self) -> Any:
        data = cv2.imencode('.jpg', self.photo)[1].tobytes()
        return CompressedImage(header=self.next(), format='jpeg', data=data)

    def info(self) -> Any:
        info = pinhole(*self.photo.shape[1::-1], 1.0)
        info.header = header(self.second)
        return info

    def depth(self) -> Any:
        depth = encode_bgr(np.zeros((*self.photo.shape[:2], 3), np.uint8), header(self.second))
        depth.encoding, depth.step = '16UC1', 2 * self.photo.shape[1]
        depth.data = depth.data[: depth.step * depth.height]
        return depth

    def settle(self) -> dict[str, Any]:
        """Wait until nothing is being worked on; return the counts."""
        end = time.monotonic() + TIMEOUT
        done = ('frames_out', 'frames_dropped', 'frames_late', 'frames_refused')
        while (counts := self.node.summary())['frames_in'] != sum(counts[name] for name in done):
            assert time.monotonic() < end, f'a frame is lost: {counts}'
            time.sleep(0.001)
        return counts

    def assert_answers(self, topic: str, good: Callable[[], Any], depth: bool) -> None:
        """A good image with all that belongs to it brings the face and its place."""
        before = self.settle()
        image = good()
        receive(self.node, '/camera/camera_info', self.info())
        if depth:
            receive(self.node, '/camera/depth_registered/image_raw', self.depth())
        receive(self.node, topic, image)
        after = self.settle()
        for name in ('frames_out', 'faces'):
            assert after[name] == before[name] + 1, (name, self.node.failures.recent())
        assert_foreseen(self.node)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ('field', 'index'), [('k', i) for i in range(9)] + [('d', i) for i in range(5)]
)
def test_one_number_of_a_camera_info_that_is_not_finite_is_enough(
    field: str, index: int, bad: float
) -> None:
    info = pinhole(640, 480, 1.0)
    info.d = [0.1, 0.01, 0.001, 0.001, 0.01]
    assert camera_model(info) is not None
    getattr(info, field)[index] = bad
    with pytest.raises(CameraInfoError, match='NaN or infinity'):
        camera_model(info)


def transforms() -> TFMessage:
    link = TransformStamped(header=header(1000), child_frame_id=FRAME)
    return TFMessage(transforms=[link, link])


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_pose_node_answers_after_whatever_came(
    make: Any, photo: np.ndarray, transport: str
) -> None:
    is_raw = transport == 'raw'
    node = make(
        PoseNode,
        network__device='cpu',
        tracking__confirm_hits=1,
        input__transport=transport,
        input__depth=is_raw,
        use_sim_time=is_raw,
        output__frame='' if is_raw else FRAME,
    )
    eyes = Eyes(node, photo)
    good = eyes.image if is_raw else eyes.compressed
    topic = '/camera/image_raw' + ('' if is_raw else '/compressed')
    others = {'/camera/camera_info': eyes.info}
    if is_raw:
        others |= {
            '/camera/depth_registered/image_raw': eyes.depth,
            '/clock': lambda: Clock(clock=Time(sec=eyes.second)),
        }
    else:
        others |= {'/tf': transforms, '/tf_static': transforms}
    eyes.assert_answers(topic, good, is_raw)

    @PATIENT
    @given(st.data())
    def one(data: st.DataObject) -> None:
        bad = data.draw(st.sampled_from([topic, *others]))
        image = good()
        if bad in others:
            receive(node, bad, spoiled(others[bad](), picker(data)))
        else:
            image = spoiled(image, picker(data))
        # An image that came before its time, or its depth, waits for the next one.
        receive(node, topic, image)
        eyes.assert_answers(topic, good, is_raw)

    one()
    assert 0 < node.failures.counts()[topic] <= node.summary()['frames_refused']


def test_the_driver_node_answers_after_whatever_came(make: Any, monkeypatch: Any) -> None:
    node = make(DriverNode)
    answered: list[int] = []
    publish = node._states.publish

    def spy(state: DriverState) -> None:
        publish(state)
        answered.append(state.header.stamp.sec)

    monkeypatch.setattr(node._states, 'publish', spy)
    second = [1000]

    @QUICK
    @given(st.data(), st.sampled_from(['/faces', '/camera/image_raw']))
    def one(data: st.DataObject, topic: str) -> None:
        second[0] += 10
        good = some_faces(second[0]) if topic == '/faces' else grey(second[0])
        receive(node, topic, spoiled(good, picker(data)))
        receive(node, '/camera/image_raw', grey(second[0] + 1))
        receive(node, '/faces', some_faces(second[0] + 1))
        assert answered[-1] == second[0] + 1
        node._watch_silence()
        node._end_stream()
        assert_foreseen(node)

    one()


def test_the_overlay_node_answers_after_whatever_came(make: Any, monkeypatch: Any) -> None:
    node = make(seeing_overlay)
    answered: list[int] = []
    monkeypatch.setattr(
        node._pictures, 'publish', lambda picture: answered.append(picture.header.stamp.sec)
    )
    second = [1000]

    @QUICK
    @given(st.data(), st.booleans())
    def one(data: st.DataObject, is_image: bool) -> None:
        second[0] += 10
        pair = [grey(second[0]), some_faces(second[0])]
        index = 0 if is_image else 1
        pair[index] = spoiled(pair[index], picker(data))
        for image, faces in (pair, (grey(second[0] + 1), some_faces(second[0] + 1))):
            receive(node, '/camera/image_raw', image)
            receive(node, '/faces', faces)
        assert answered[-1] == second[0] + 1
        assert_foreseen(node)

    one()
    node.looker.destroy_node()


def test_the_page_shows_the_next_after_whatever_came(make: Any) -> None:
    node = make(Viewer)
    node.watched = 1
    second = [1000]
    diagnosed = DiagnosticArray(status=[DiagnosticStatus(name='pose', message='OK')])
    kinds: dict[str, Callable[[int], Any]] = {
        '/camera/image_raw': grey,
        '/faces': some_faces,
        '/driver_state': lambda at: DriverState(header=header(at)),
        '/diagnostics': lambda _: diagnosed,
    }

    @QUICK
    @given(st.data(), st.sampled_from(sorted(kinds)))
    def one(data: st.DataObject, topic: str) -> None:
        second[0] += 10
        receive(node, topic, spoiled(kinds[topic](second[0]), picker(data)))
        shown, node._drawn = node.picture[0], 0.0  # the last picture was long ago
        for name, good in kinds.items():
            receive(node, name, good(second[0] + 1))
        assert node.picture[0] > shown
        status = node.status(0)
        assert [face['id'] for face in status['faces']] == ['f1', 'f2'] and status['driver']

    one()


def test_a_page_that_cannot_be_made_leaves_the_one_before(make: Any, monkeypatch: Any) -> None:
    node = make(Viewer)
    receive(node, '/faces', some_faces(1000))
    before = node.status(0)
    assert len(before['samples']) == 1

    def fails(now: float) -> str:
        raise IndexError('nothing')

    monkeypatch.setattr(node, 'why', fails)
    assert node.status(0) == {**before, 'samples': []}
    assert node.failures.counts()['live page'] == 1


def test_the_recorder_goes_on_after_whatever_came(make: Any, tmp_path: Path) -> None:
    heard: list[int] = []
    node = make(recorder, tmp_path, lambda faces: heard.append(faces.header.stamp.sec))
    good = serialize_message(some_faces(7))
    for bad in (b'', b'\x00', good[:60], good[:4] + b'\xff' * 60, b'\xff' * 100):
        receive(node, '/faces', bad)
        receive(node, '/faces', good)
        assert heard[-1] == 7
    assert node.failures.counts()['/faces'] >= 4
    node.close()


@pytest.mark.parametrize('kind', [DriverNode, OverlayNode, CameraNode])
def test_every_request_is_answered(make: Any, tmp_path: Path, kind: Any) -> None:
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((6, 8, 3), np.uint8))
    node = make(kind, **({'source': str(tmp_path)} if kind is CameraNode else {}))
    services = {service.service_name: service for service in node.services}

    @QUICK
    @given(st.data(), st.sampled_from(sorted(services)))
    def one(data: st.DataObject, name: str) -> None:
        service = services[name]
        request = service.srv_type.Request()
        if isinstance(request, SetParameters.Request):
            request.parameters = [Parameter('autostart', value=True).to_parameter_msg()]
        if any(fields(request)):
            request = spoiled(request, picker(data))
        answer = service.callback(request, service.srv_type.Response())
        assert isinstance(answer, service.srv_type.Response)

    one()


@pytest.mark.parametrize('kind', [PoseNode, DriverNode, OverlayNode])
def test_every_parameter_takes_or_refuses_every_value(make: Any, kind: Any) -> None:
    node = make(kind, **({'network__device': 'cpu'} if kind is PoseNode else {}))
    before = {name: node.get_parameter(name).value for name in node._parameters}
    types = dict(
        zip(ParameterValue.get_fields_and_field_types(), ParameterValue.SLOT_TYPES, strict=True)
    )
    del types['type']

    @PATIENT
    @given(st.data(), st.sampled_from(sorted(before)), st.sampled_from(list(enumerate(types, 1))))
    def one(data: st.DataObject, name: str, field: tuple[int, str]) -> None:
        number, which = field
        value = ParameterValue(type=number, **{which: picker(data)(odd_values(types[which]))})
        request = SetParameters.Request()
        message = Parameter(name).to_parameter_msg()
        message.value = value
        request.parameters = [message]
        (service,) = [s for s in node.services if s.service_name.endswith('/set_parameters')]
        answer = service.callback(request, SetParameters.Response())
        for result in answer.results:
            assert result.successful or result.reason
        if answer.results and answer.results[0].successful and name in before:
            (back,) = node.set_parameters([Parameter(name, value=before[name])])
            assert back.successful, back.reason
        assert_foreseen(node)

    one()
    assert {name: node.get_parameter(name).value for name in before} == before


def test_it_is_real_nodes_that_stay_alive_over_dds(make: Any, spin_until: Any) -> None:
    """Over the wire, in case rclpy itself stumbles over a message before the barrier."""
    node, camera = make(DriverNode), make(Node, 'camera_stand_in')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    publisher = camera.create_publisher(Faces, 'faces', qos.reliable(50))
    end = time.monotonic() + TIMEOUT
    while not publisher.get_subscription_count() and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    good = serialize_message(some_faces(50))
    utf8 = good.replace(FRAME.encode(), b'\xff' * len(FRAME))
    for data in (b'garbage', good[:40], good[:4] + b'\xff' * 40, utf8, good):
        publisher.publish(data)
    while node._report is None or node._taken < 2:
        assert time.monotonic() < end
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    assert rclpy.ok()
