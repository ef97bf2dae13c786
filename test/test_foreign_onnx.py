"""ONNX files that are damaged, absurd or hostile: refused with the reason, before they are run."""

from __future__ import annotations

import shutil
import time

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from headpose_ros.models.onnx_check import check_onnx
from headpose_ros.models.released import FOLDER, find_weights, released
from headpose_ros.models.safetensors_check import WeightsFileError
from headpose_ros.perception import foreign_onnx
from headpose_ros.perception.backends.choose import Fallbacks
from headpose_ros.perception.backends.onnx_runtime import of_file, try_network
from headpose_ros.perception.detect import DetectorError, YuNetDetector, find_yunet
from headpose_ros.perception.device import CPU
from headpose_ros.perception.foreign_onnx import ForeignOnnxError, in_time, vet_onnx

EYE = numpy_helper.from_array(np.eye(3, dtype=np.float32)[None], 'eye')
GREY = (
    helper.make_node('Cast', ['crops'], ['floats'], to=TensorProto.FLOAT),
    helper.make_node('ReduceMax', ['floats'], ['grey'], keepdims=0),
)
END = helper.make_node('Add', ['eye', 'last'], ['rotation'])


def file(*nodes, initial=(), functions=(), domains=(), size=128):
    """Return an ONNX file that is a network but for what its nodes do."""
    crops = helper.make_tensor_value_info('crops', TensorProto.UINT8, ['batch', size, size, 3])
    rotation = helper.make_tensor_value_info('rotation', TensorProto.FLOAT, ['batch', 3, 3])
    graph = helper.make_graph([*GREY, *nodes, END], 'g', [crops], [rotation], [EYE, *initial])
    imports = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in ('', *domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8, functions=functions)
    helper.set_model_props(model, {'model': 'mnn_lite', 'input_size': str(size)})
    return model.SerializeToString()


def array(name, *values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype), name)


def elsewhere(path):
    """Return a tensor that lies in another file."""
    tensor = TensorProto(name='last', data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=path)
    return tensor


def branch(*nodes):
    """Return a node with graphs in its branches."""
    value = helper.make_tensor_value_info('out', TensorProto.FLOAT, [])
    graph = helper.make_graph([*nodes], 'b', [], [value])
    condition = helper.make_node('Cast', ['grey'], ['yes'], to=TensorProto.BOOL)
    return condition, helper.make_node(
        'If', ['yes'], ['last'], then_branch=graph, else_branch=graph
    )


def loop(kind='Loop'):
    body = helper.make_graph(
        [helper.make_node('Identity', ['c'], ['d']), helper.make_node('Sin', ['v'], ['w'])],
        'body',
        [
            helper.make_tensor_value_info('i', TensorProto.INT64, []),
            helper.make_tensor_value_info('c', TensorProto.BOOL, []),
            helper.make_tensor_value_info('v', TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info('d', TensorProto.BOOL, []),
            helper.make_tensor_value_info('w', TensorProto.FLOAT, []),
        ],
    )
    return helper.make_node(kind, ['', 'true', 'grey'], ['last'], body=body)


def constant(tensor):
    return helper.make_node('Constant', [], ['last'], value=tensor)


def nested(depth):
    value = helper.make_tensor_value_info('out', TensorProto.FLOAT, [])
    node = helper.make_node('Identity', ['grey'], ['out'])
    for _ in range(depth):
        graph = helper.make_graph([node], 'b', [], [value])
        node = helper.make_node('If', ['grey'], ['out'], then_branch=graph, else_branch=graph)
    return node


GOOD = file(helper.make_node('Sub', ['grey', 'grey'], ['last']))
FUNCTION = helper.make_function(
    'ai.onnx', 'f', ['grey'], ['last'], [loop()], [helper.make_opsetid('', 17)]
)
LOOKED_THROUGH = {
    'text': (b'no model', 'not an ONNX file'),
    'cut off': (GOOD[:-1], 'cut off'),
    'goes on': (GOOD + b'\x0f', 'not an ONNX file'),
    'a number without end': (b'\xff' * 100, 'not an ONNX file'),
    "the runtime's own format": (GOOD[:4] + b'ORTM' + GOOD[8:], 'own format'),
    'a million fields': (b'\x08\x00' * 10**6, 'more than 500000 fields'),
    'nested graphs': (file(nested(8)), 'nested too deeply'),
    'a tensor in another file': (file(initial=[elsewhere('data')]), 'in other files'),
    'a tensor in /dev/zero': (file(initial=[elsewhere('/dev/zero')]), 'in other files'),
    'a constant in another file': (file(constant(elsewhere('../data'))), 'in other files'),
    'one in a branch': (file(*branch(constant(elsewhere('data')))), 'in other files'),
    'a loop': (file(loop()), 'has a Loop'),
    'a scan': (file(loop('Scan')), 'has a Scan'),
    'a loop in a branch': (file(*branch(loop())), 'has a Loop'),
    'a loop in a function': (file(functions=[FUNCTION]), 'has a Loop'),
    'an operator of another maker': (
        file(helper.make_node('Sin', ['grey'], ['last'], domain='com.microsoft')),
        "operators of 'com.microsoft'",
    ),
}
BIG = helper.make_node('ConstantOfShape', ['shape'], ['big'])
MEAN = helper.make_node('ReduceMean', ['big'], ['last'], keepdims=0)
TRIED = {
    'nothing': (b'', 'cannot load'),
    'no network': (file(helper.make_node('Nothing', ['grey'], ['last'])), 'cannot load'),
    'a tensor of 4 GB': (file(BIG, MEAN, initial=[array('shape', 10**9)]), 'bad_alloc|memory'),
    'a tensor of exabytes': (file(BIG, MEAN, initial=[array('shape', 2**40, 2**20)]), '.'),
    'a tensor as large as the crop is bright': (
        file(
            helper.make_node('Mul', ['grey', 'much'], ['size']),
            helper.make_node('Cast', ['size'], ['count'], to=TensorProto.INT64),
            helper.make_node('Reshape', ['count', 'one'], ['shape']),
            BIG,
            MEAN,
            initial=[array('much', 1e7, dtype=np.float32), array('one', 1)],
        ),
        'bad_alloc|memory',
    ),
    'an answer of another shape': (
        file(
            helper.make_node('Expand', ['grey', 'shape'], ['last']),
            initial=[array('shape', 5, 1, 3)],
        ),
        r'rotation of \(5, 3, 3\)',
    ),
    'an answer of NaN': (
        file(
            helper.make_node('Div', ['zero', 'zero'], ['last']),
            initial=[array('zero', 0, dtype='f4')],
        ),
        'NaN or infinity',
    ),
    'a crop of another size': (file(MEAN, BIG, size=100_000), 'cannot load|expected 16 to 512'),
}


def test_released_files_and_the_detector_are_let_through():
    for path in (find_yunet(), *(FOLDER / f'{name}.onnx' for name in released())):
        check_onnx(path.read_bytes())


@pytest.mark.parametrize(('content', 'said'), LOOKED_THROUGH.values(), ids=LOOKED_THROUGH.keys())
def test_what_no_network_needs_is_refused_unseen(content, said):
    start = time.process_time()
    with pytest.raises(ForeignOnnxError, match=said) as caught:
        vet_onnx(content, try_network)
    assert time.process_time() - start < 5.0
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(('content', 'said'), TRIED.values(), ids=TRIED.keys())
def test_what_does_harm_is_found_in_a_process_of_its_own(content, said):
    with pytest.raises(ForeignOnnxError, match=said) as caught:
        vet_onnx(content, try_network)
    assert len(str(caught.value)) <= 300


def test_the_file_that_the_others_are_made_of_is_good():
    vet_onnx(GOOD, try_network)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_no_damage_raises_anything_else(content):
    try:
        check_onnx(content)
    except WeightsFileError as error:
        assert 'ONNX' in str(error) or 'in other files' in str(error)


def test_what_is_slow_is_refused(monkeypatch):
    assert in_time(lambda: 3) == 3
    monkeypatch.setattr(foreign_onnx, '_SLOWEST', -1.0)
    with pytest.raises(ForeignOnnxError, match='for one picture'):
        in_time(lambda: 3)


@pytest.fixture
def copied(tmp_path):
    """Copy released weights to a folder that is not ours, without their card."""
    for suffix in ('.safetensors', '.onnx'):
        shutil.copy(FOLDER / f'{released()[0]}{suffix}', tmp_path / f'copy{suffix}')
    return tmp_path / 'copy.safetensors'


def test_files_by_path_are_tried_and_ours_are_not(copied, monkeypatch):
    tried = []
    monkeypatch.setattr(
        'headpose_ros.perception.backends.onnx_runtime.vet_onnx',
        lambda content, trial: (tried.append(len(content)), vet_onnx(content, trial)),
    )
    network = Fallbacks(find_weights(str(copied)), CPU)
    assert network.current.name == 'onnxruntime'
    assert tried == [copied.with_suffix('.onnx').stat().st_size]
    ours = find_weights(released()[0])
    of_file(ours, ours.onnx)
    assert len(tried) == 1


def test_a_hostile_file_beside_weights_is_replaced_and_named(copied):
    copied.with_suffix('.onnx').write_bytes(LOOKED_THROUGH['a loop'][0])
    network = Fallbacks(find_weights(str(copied)), CPU)
    assert network.current.name == 'torch'
    assert f'{copied.with_suffix(".onnx")} has a Loop, which may never end' in network.reason


def test_a_detector_by_path_is_tried_too(tmp_path):
    path = tmp_path / 'detector.onnx'
    shutil.copy(find_yunet(), path)
    assert YuNetDetector(str(path)).detect(np.zeros((64, 64, 3), np.uint8)) == []
    model = onnx.load(str(path))
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DetectorError, match=r'detector\.onnx: has tensors in other files'):
        YuNetDetector(str(path))
    path.write_bytes(GOOD)
    with pytest.raises(DetectorError, match='cannot load the face detector'):
        YuNetDetector(str(path))
