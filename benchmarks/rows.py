"""What is timed: one function for each row, that sets up and returns the call to time."""

from __future__ import annotations

import importlib.util
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pictures import crowd, photograph

from headpose_ros import DEFAULT_MODEL
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.models.registry import MODELS
from headpose_ros.models.released import find_weights
from headpose_ros.models.weights import LoadedModel, load_model
from headpose_ros.perception.threads import limit_cpu_threads

Call = Callable[[], Any]
_SIZE = (640, 480)
_FRAMES = 40


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        group: Table it belongs to.
        make: Sets up and returns the call.
        threads: CPU threads of the libraries.
        faces: Faces in one call.
    """

    group: str
    make: Callable[[], Call]
    threads: int = 1
    faces: int = 1


def video(size: tuple[int, int] = _SIZE) -> Iterator[np.ndarray]:
    """Yield a face that sways, again and again; the frames are made beforehand."""
    face, width, height = photograph(), *size
    frames = []
    for i in range(_FRAMES):
        phase = 2 * np.pi * i / _FRAMES
        matrix = cv2.getRotationMatrix2D((224, 130), 8 * np.sin(phase), height / 480)
        matrix[:, 2] += [width / 2 - 224 + 20 * np.cos(phase), height / 2 - 130]
        frames.append(cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE))
    return itertools.cycle(frames)


def random_model(name: str) -> LoadedModel:
    torch.manual_seed(0)
    spec = MODELS[name]
    return LoadedModel(spec, spec.build().eval().requires_grad_(False), {})


def model_only(model: Callable[[], LoadedModel], backend: str) -> Call:
    from headpose_ros.perception.backends.choose import make
    from headpose_ros.perception.device import CPU

    loaded = model()
    runner = make(loaded, CPU, backend)
    size = loaded.spec.input_size
    crops = np.full((1, size, size, 3), 128, np.uint8)
    return lambda: runner.run(crops)


def plain(model: Callable[[], LoadedModel]) -> Call:
    """Return the network as it was trained, as a script would call it."""
    loaded = model()
    crop = torch.zeros(1, 3, loaded.spec.input_size, loaded.spec.input_size)

    @torch.inference_mode()
    def call() -> Any:
        return loaded.network(crop)

    return call


def repvgg() -> Call:
    """Return 6DRepNet's trunk, RepVGG-B1g2 as deployed (Ding et al., CVPR 2021), and its head."""
    widths, depths = (64, 128, 256, 512, 2048), (1, 4, 6, 16, 1)
    layers: list[torch.nn.Module] = []
    channels = 3
    for width, depth in zip(widths, depths, strict=True):
        for index in range(depth):
            # Every second layer after the first has two groups.
            groups = 2 if len(layers) // 2 % 2 == 0 and layers else 1
            stride = 1 if index else 2
            layers += [
                torch.nn.Conv2d(channels, width, 3, stride, 1, groups=groups),
                torch.nn.ReLU(inplace=True),
            ]
            channels = width
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, 6)]
    network = torch.nn.Sequential(*layers, *head).eval()
    crop = torch.zeros(1, 3, 224, 224)

    @torch.inference_mode()
    def call() -> Any:
        return network(crop)

    return call


def estimate(faces: int, backend: str) -> Call:
    """Return crop to result: windows of a frame in, rotations and landmarks out."""
    from headpose_ros.perception.infer import FaceNetwork

    network = FaceNetwork(find_weights(DEFAULT_MODEL), 'cpu', backend)
    frames = video()
    windows = [CropWindow(320.0 + i, 240.0, 150.0, 0.02 * i) for i in range(faces)]
    return lambda: network.estimate(next(frames), windows)


def tracked(backend: str) -> Call:
    """Return a frame of a video to smoothed faces, the detector every tenth frame included."""
    import headpose_ros

    analyze = headpose_ros.load(device='cpu', backend=backend)
    frames, clock = video(), itertools.count()

    def call() -> Any:
        faces = analyze.track(next(frames), next(clock) / 30)
        return faces

    return call


def mediapipe() -> Call:
    """Return MediaPipe Face Mesh in video mode: its tracker runs the detector when it must."""
    find, frames = mesh(), video()

    def call() -> Any:
        found = find(next(frames))
        assert found
        return found

    return call


def mesh(static: bool = False) -> Callable[[np.ndarray], Any]:
    """Return Face Mesh from a BGR image to its list of faces, or nothing."""
    import mediapipe

    network = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=static, max_num_faces=1)
    return lambda image: (
        network.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks
    )


#: Of a generic head in the manner of dlib's examples, mm: nose, chin, eyes' and mouth's corners.
_SIX = (30, 8, 36, 45, 48, 54)


def dlib() -> Call:
    """Return dlib's HOG detector, 68 points and solvePnP."""
    from headpose_ros.geometry.face_shape import aligned_mean_face

    find = dlib_points()
    shape = np.ascontiguousarray(aligned_mean_face()[list(_SIX)])
    camera = np.array([[640.0, 0, 320], [0, 640, 240], [0, 0, 1]])
    frames = video()

    def call() -> Any:
        points = np.ascontiguousarray(find(next(frames))[list(_SIX)])
        return cv2.solvePnP(shape, points, camera, None, flags=cv2.SOLVEPNP_EPNP)

    return call


def dlib_points() -> Callable[[np.ndarray], Any]:
    """Return dlib's HOG detector and 68 points, from a BGR image to (68, 2) px, or None."""
    import dlib

    package = importlib.util.find_spec('face_recognition_models')
    if package is None or not package.submodule_search_locations:
        raise ImportError('no module named face_recognition_models', name='face_recognition_models')
    folder = Path(package.submodule_search_locations[0]) / 'models'
    points_of = dlib.shape_predictor(str(folder / 'shape_predictor_68_face_landmarks.dat'))
    detect = dlib.get_frontal_face_detector()

    def call(image: np.ndarray) -> Any:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        boxes = detect(grey, 0)
        if not len(boxes):
            return None
        found = points_of(grey, max(boxes, key=lambda box: box.area()))
        return np.array([(part.x, part.y) for part in found.parts()], np.float64)

    return call


def yunet() -> Call:
    from headpose_ros.perception.detect import YuNetDetector

    detector, frames = YuNetDetector(), video()
    return lambda: detector.detect(next(frames))


def image_messages(encoding: str, faces: int = 1) -> Iterator[Any]:
    """Yield 720p image messages: one face that sways, or several that stay."""
    from array import array

    from sensor_msgs.msg import Image

    clock = itertools.count(1)
    frames = []
    pictures = itertools.islice(video((1280, 720)), _FRAMES) if faces == 1 else [crowd(faces)]
    for frame in pictures:
        code = {'rgb8': cv2.COLOR_BGR2RGB, 'yuv422_yuy2': cv2.COLOR_BGR2YUV_YUYV}.get(encoding)
        pixels = frame if code is None else cv2.cvtColor(frame, code)
        image = Image(width=1280, height=720, encoding=encoding, step=1280 * pixels.shape[2])
        image.data = array('B', pixels.tobytes())
        frames.append(image)
    for image in itertools.cycle(frames):
        stamp = next(clock) * 33_333_333
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        yield image


def node(encoding: str, faces: int = 1, cameras: int = 1) -> Call:
    """Return message to published pose, as the pose node's thread does it."""
    import rclpy

    names = ', '.join(f'camera{i}' for i in range(cameras))
    rclpy.init(args=['--ros-args', '-p', 'network.device:=cpu', '-p', f'cameras:=[{names}]'])
    from headpose_ros.nodes.pose import PoseNode

    pose, messages = PoseNode(), image_messages(encoding, faces)

    def call() -> None:
        analyse(pose, messages)

    for _ in range(3):
        call()
    found = pose.summary()['faces']
    call()
    assert pose.summary()['faces'] - found == faces * cameras
    return call


def analyse(pose: Any, messages: Iterator[Any]) -> None:
    """Let a pose node do with one message for each camera what its thread does."""
    pose._work_on(pose._waiting, {name: (next(messages), None) for name in pose._cameras})


def naive() -> Call:
    """Return a node as first written: copies, a detector for every frame, plain PyTorch."""
    import rclpy
    from geometry_msgs.msg import PoseStamped

    from headpose_ros.geometry.rotations import quaternion_from_matrix
    from headpose_ros.perception.crop import cut
    from headpose_ros.perception.detect import YuNetDetector

    rclpy.init(args=[])
    node = rclpy.create_node('naive')
    publisher = node.create_publisher(PoseStamped, 'head_pose', 10)
    loaded, detector, messages = load_model(DEFAULT_MODEL), YuNetDetector(), image_messages('rgb8')

    def call() -> None:
        message = next(messages)
        rgb = np.array(message.data, np.uint8).reshape(message.height, message.width, 3).copy()
        image = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        window = detector.detect(image)[0].window
        crop = loaded.spec.to_input(cut(image, window, 128))[None]
        with torch.inference_mode():
            rotation = loaded.network(crop).rotation[0].double().numpy()
        pose = PoseStamped(header=message.header)
        q = pose.pose.orientation
        q.x, q.y, q.z, q.w = map(float, quaternion_from_matrix(rotation))
        publisher.publish(pose)

    return call


def matrix_product() -> Call:
    """Return a large product, the ceiling of arithmetic; see roofline.py."""
    a = torch.rand(768, 768)
    return lambda: a @ a


def mnn_lite() -> LoadedModel:
    return load_model(DEFAULT_MODEL)


def _encoder() -> LoadedModel:
    return random_model('mnn_encoder')


ROWS: dict[str, Row] = {
    'reference: matrix product 768': Row('model only', matrix_product),
    'mnn_lite, plain PyTorch': Row('model only', lambda: plain(mnn_lite)),
    **{
        f'mnn_lite, {backend}': Row('model only', lambda b=backend: model_only(mnn_lite, b))
        for backend in ('torch', 'onnxruntime')
    },
    'mnn_lite, onnxruntime, 2 threads': Row(
        'model only', lambda: model_only(mnn_lite, 'onnxruntime'), threads=2
    ),
    'mnn encoder, plain PyTorch': Row('model only', lambda: plain(_encoder)),
    'mnn encoder, onnxruntime': Row('model only', lambda: model_only(_encoder, 'onnxruntime')),
    'Hopenet, plain PyTorch': Row('model only', lambda: plain(lambda: random_model('hopenet'))),
    '6DRepNet, plain PyTorch': Row('model only', repvgg),
    **{
        f'crop to result, {faces} faces': Row(
            'crop to result', lambda n=faces: estimate(n, 'auto'), faces=faces
        )
        for faces in (1, 2, 4, 8)
    },
    'crop to result, 1 face, 2 threads': Row(
        'crop to result', lambda: estimate(1, 'auto'), threads=2
    ),
    'crop to result, 1 face, torch': Row('crop to result', lambda: estimate(1, 'torch')),
    'tracked frame': Row('frame to result', lambda: tracked('auto')),
    'tracked frame, 2 threads': Row('frame to result', lambda: tracked('auto'), threads=2),
    'MediaPipe Face Mesh': Row('frame to result', mediapipe, threads=2),
    'dlib HOG + 68 points + solvePnP': Row('frame to result', dlib),
    'YuNet alone, every frame': Row('frame to result', yunet),
    **{
        f'pose node, 720p {encoding}': Row('message to pose', lambda e=encoding: node(e))
        for encoding in ('bgr8', 'rgb8', 'yuv422_yuy2')
    },
    **{
        f'pose node, 720p bgr8, {faces} faces': Row(
            'message to pose', lambda n=faces: node('bgr8', n), faces=faces
        )
        for faces in (2, 4, 8)
    },
    **{
        f'pose node, 720p bgr8, {cameras} cameras': Row(
            'message to pose', lambda n=cameras: node('bgr8', 1, n), faces=cameras
        )
        for cameras in (2, 4)
    },
    'naive node, 720p rgb8': Row('message to pose', naive),
}


def set_threads(count: int) -> None:
    limit_cpu_threads(count)
    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def timed(call: Call) -> float:
    """Return the milliseconds of one call."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)
