"""Released weights run on a CPU without PyTorch, and what needs it says how to get it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from headpose_ros.errors import HeadposeError
from headpose_ros.extras import INSTALL_TORCH, how_to_get, needed_by
from headpose_ros.models.released import FOLDER
from headpose_ros.perception import device
from headpose_ros.perception.device import DeviceError, choose_device, has_gpu
from headpose_ros.sources.photograph import photograph

ROOT = Path(__file__).parents[1]
#: What the extra `torch` brings, and what only tools and tests use.
HEAVY = ('torch', 'torchvision', 'safetensors', 'onnx', 'scipy', 'matplotlib', 'PIL', 'rosbags')


def python(code: str, *words: object) -> str:
    """Run a program in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, '-c', code, *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


#: Runs `headpose` with the program's arguments, and prints what it loaded of HEAVY.
HEADPOSE = f"""
import sys
from headpose_ros.cli import main
assert main(sys.argv[1:]) == 0
print('loaded:', *(set({HEAVY!r}) & sys.modules.keys()))
"""

#: Answers one image, as the node of a robot does, and prints what it loaded of HEAVY.
NODE = f"""
import sys, time
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from headpose_ros.msg import Faces
from headpose_ros.nodes.pose import PoseNode
from headpose_ros.sources.photograph import photograph
from headpose_ros.ros.input.images import encode_bgr

rclpy.init(args=['--ros-args', '-p', 'network.device:=cpu'])
pose, desk = PoseNode(), rclpy.create_node('desk')
answers = []
desk.create_subscription(Faces, 'faces', answers.append, 10)
images = desk.create_publisher(Image, 'camera/image_raw', 10)
executor = SingleThreadedExecutor()
executor.add_node(pose)
executor.add_node(desk)
end = time.monotonic() + 60
while not any(answer.faces for answer in answers) and time.monotonic() < end:
    stamp = desk.get_clock().now().to_msg()
    images.publish(encode_bgr(photograph(), Header(stamp=stamp, frame_id='camera')))
    executor.spin_once(timeout_sec=0.1)
assert any(answer.faces for answer in answers)
pose.destroy_node()
print('loaded:', *(set({HEAVY!r}) & sys.modules.keys()))
"""


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'face.png'
    cv2.imwrite(str(path), photograph())
    return path


def test_headpose_image_loads_no_torch(photo):
    told = python(HEADPOSE, 'image', photo).splitlines()
    assert told[-1] == 'loaded:'
    assert any(line.startswith('f1 ') for line in told)


def test_headpose_video_loads_no_torch(photo, tmp_path):
    pytest.importorskip('av', reason='pip install av')
    out = tmp_path / 'out.mp4'
    told = python(HEADPOSE, 'video', photo, out, '--duration', '0.2').splitlines()
    assert told[-1] == 'loaded:'
    assert out.stat().st_size > 1000


def test_a_pose_node_that_answers_loads_no_torch(ros_domain):
    assert python(NODE).splitlines()[-1] == 'loaded:'


HIDDEN = """
import sys
for name in ('torch', 'torchvision', 'onnx', 'safetensors'):
    sys.modules[name] = None
import headpose_ros
from headpose_ros.errors import HeadposeError
try:
    print(headpose_ros.load(sys.argv[1], 'cpu', sys.argv[2]).network.backends.reason)
except HeadposeError as error:
    print(error)
"""


def test_weights_without_an_onnx_file_say_what_to_install(tmp_path):
    path = tmp_path / 'mine.safetensors'
    shutil.copy(FOLDER / 'mnn_lite_free.safetensors', path)
    told = python(HIDDEN, path, 'auto')
    assert 'weights without an .onnx file beside them need PyTorch' in told
    assert INSTALL_TORCH in told
    assert len(told.splitlines()) == 1


def test_a_backend_that_is_missing_is_replaced_with_a_word_how_to_get_it():
    told = python(HIDDEN, 'mnn_lite_free', 'torch')
    assert told.startswith('onnxruntime on cpu')
    assert INSTALL_TORCH in told


@pytest.mark.parametrize(
    ('files', 'found'),
    [
        ([], False),
        (['nvidiactl', 'null'], False),
        (['nvidia0'], True),
        (['nvidia3'], True),  # a container that was given the fourth
        (['nvhost-gpu'], True),
        (['dxg'], True),
    ],
)
def test_gpus_are_found_by_the_files_of_their_drivers(files, found, tmp_path):
    for name in files:
        (tmp_path / name).touch()
    assert has_gpu(tmp_path) == found


@pytest.mark.parametrize(
    ('gpu', 'torch', 'said'),
    [(False, True, 'no GPU is in this machine'), (True, False, INSTALL_TORCH)],
)
def test_a_gpu_that_cannot_be_used_says_why(gpu, torch, said, monkeypatch):
    monkeypatch.setattr(device, 'has_gpu', lambda: gpu)
    monkeypatch.setattr(device, 'has_torch', lambda: torch)
    assert str(choose_device('auto')) == 'cpu'
    with pytest.raises(DeviceError) as told:
        choose_device('cuda:1')
    assert said in str(told.value)


@pytest.mark.parametrize('name', ['abacus', 'cuda:', 'cuda:x', 'cuda:1000000000000', 'CPU', ''])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(DeviceError, match='expected auto, cpu, cuda or cuda:N'):
        choose_device(name)


def test_a_missing_package_is_one_line_with_a_command():
    said = '^x needs the package no_such_thing: pip install no_such_thing$'
    with pytest.raises(HeadposeError, match=said), needed_by('x'):
        importlib.import_module('no_such_thing')
    assert how_to_get('PIL.Image') == 'pip install pillow'
    assert how_to_get('safetensors.torch') == INSTALL_TORCH
