"""Files of weights that are damaged, absurd or hostile: refused with the reason, at no cost."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import struct
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from small_models import SMALL, write_small

from headpose_ros.models.registry import MODELS
from headpose_ros.models.released import find_weights
from headpose_ros.models.safetensors_check import (
    WeightsFileError,
    build_options,
    check_safetensors,
)
from headpose_ros.models.weights import WeightsError, load_model
from headpose_ros.perception.backends import choose
from headpose_ros.perception.backends.base import BackendError
from headpose_ros.perception.backends.choose import Fallbacks
from headpose_ros.perception.backends.trial import check
from headpose_ros.perception.device import CPU
from headpose_ros.perception.infer import FaceNetwork

#: The smallest registered network.
SMALLEST, SIZE = 'mnn_encoder', SMALL['mnn_encoder'][1]


def build(**options):
    torch.manual_seed(0)
    return replace(MODELS[SMALLEST], input_size=SIZE).build(
        **{**SMALL[SMALLEST][0], 'width': 1, **options}
    )


STATE = {
    name: value.half() if value.is_floating_point() else value
    for name, value in build().state_dict().items()
}
METADATA = {
    'model': SMALLEST,
    'options': json.dumps({'width': 1, 'input_size': SIZE}),
    'input_size': str(SIZE),
    'margin': '1.5',
}
GOOD = save(STATE, metadata=METADATA)
FLOAT = next(name for name, value in STATE.items() if value.is_floating_point())


def meta(**changes):
    return save(STATE, metadata={**METADATA, **changes})


def state(name=FLOAT, **changes):
    return save({**STATE, **{changes.pop('to', name): changes['value']}}, metadata=METADATA)


def packed(header, data=b''):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack('<Q', len(text)) + text + data


def header_of(content):
    length = struct.unpack('<Q', content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_entry(**changes):
    header, data = header_of(GOOD)
    header[FLOAT] = {**header[FLOAT], **changes}
    return packed(header, data)


def filled(value, dtype=torch.float16):
    return torch.full_like(STATE[FLOAT], value, dtype=dtype)


def doubled():
    header, data = header_of(GOOD)
    text = json.dumps(header)
    return packed((text[:-1] + ', ' + text[1:]).encode(), data)


HOSTILE = {
    'empty': (b'', 'is not a safetensors file'),
    'text': (b'not safetensors at all', 'is not a safetensors file'),
    'zeros': (bytes(1000), 'is not a safetensors file'),
    'a pickle': (b'\x80\x04\x95' + bytes(100), 'is not a safetensors file'),
    'header of exabytes': (b'\xff' * 8 + b'{' + bytes(100), 'expected at most 1 MB'),
    'header of 50 MB': (struct.pack('<Q', 50_000_000) + b'{' + bytes(99), 'expected at most 1 MB'),
    'cut off in the header': (GOOD[:300], 'cut off'),
    'cut off in the tensors': (GOOD[:-1], 'cut off'),
    'goes on': (GOOD + b'x', 'goes on behind'),
    'no JSON': (packed(b'{"a": }'), 'not JSON'),
    'no text': (packed(b'{"\xff\xfe": 1}'), 'not JSON'),
    'deep header': (packed(b'{"a":' * 100_000), 'nested too deeply'),
    'deep lists in the header': (packed(b'{"a":' + b'[' * 200_000), 'nested too deeply'),
    'a number of thousands of digits': (packed(b'{"a":' + b'9' * 9999 + b'}'), 'not JSON'),
    'NaN in the header': (packed(b'{"a":NaN}'), 'the number NaN'),
    'keys twice': (doubled(), 'stands there twice'),
    'metadata of numbers': (packed({'__metadata__': {'model': 3}}), 'not texts'),
    'metadata of lists': (packed({'__metadata__': []}), 'not texts'),
    'tensors by the thousand': (packed({str(i): 0 for i in range(50_000)}), '50000 tensors'),
    'long name': (
        packed({'x' * 5000: {'dtype': 'U8', 'shape': [0], 'data_offsets': [0, 0]}}),
        '5000 characters',
    ),
    'a tensor that is a list': (packed({'a': []}), 'without exactly'),
    'a tensor with more': (with_entry(more=1), 'without exactly'),
    'unknown type': (with_entry(dtype='F4'), "of type 'F4'"),
    'type that is a list': (with_entry(dtype=[]), "of type 'list'"),
    'negative shape': (with_entry(shape=[-1, 5]), 'no list of whole numbers'),
    'shape of floats': (with_entry(shape=[1.5]), 'no list of whole numbers'),
    'shape of truths': (with_entry(shape=[True]), 'no list of whole numbers'),
    'huge shape': (with_entry(shape=[10**9, 10**9]), 'no list of whole numbers'),
    'a hundred dimensions': (with_entry(shape=[1] * 100), 'no list of whole numbers'),
    'shape that fits no place': (with_entry(shape=[7, 7]), 'of shape'),
    'place outside': (with_entry(data_offsets=[10**8, 10**8 + 2]), 'bytes'),
    'places that overlap': (
        packed({n: {'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4]} for n in 'ab'}, bytes(8)),
        'overlap',
    ),
    'gap': (
        packed({'a': {'dtype': 'U8', 'shape': [4], 'data_offsets': [4, 8]}}, bytes(8)),
        'overlap, or bytes that belong to none',
    ),
    'NaN': (state(value=filled(float('nan'))), 'NaN or infinity'),
    'infinity': (state(value=filled(float('inf'))), 'NaN or infinity'),
    'NaN of double precision': (state(value=filled(float('nan'), torch.float64)), 'NaN or inf'),
    'NaN of single precision': (state(value=filled(float('-inf'), torch.float32)), 'NaN or inf'),
    'NaN of a brain float': (state(value=filled(float('nan'), torch.bfloat16)), 'NaN or inf'),
    'wrong shape': (state(value=torch.zeros(3, 3)), r'of shape \[3, 3\]: expected'),
    'another tensor': (state(to='more', value=torch.zeros(3)), "unknown tensor 'more'"),
    'no tensors': (save({}, metadata=METADATA), 'has no tensor'),
    'unknown model': (meta(model='resnet'), "is for the model 'resnet'"),
    'model of a long name': (meta(model='x' * 100_000), 'is for the model'),
    'no model': (save(STATE), "is for the model ''"),
    'another model': (meta(model='mnn', options='{}'), 'of shape|no tensor'),
    'input_size 0': (meta(input_size='0'), 'expected 16 to 512'),
    'input_size -1': (meta(input_size='-1'), 'expected 16 to 512'),
    'input_size 1e6': (meta(input_size='1000000'), 'expected 16 to 512'),
    'input_size of digits': (meta(input_size='9' * 100_000), 'input_size'),
    'input_size big': (meta(input_size='big'), 'expected a number'),
    'margin 0': (meta(margin='0'), 'expected 0.5 to 4'),
    'margin nan': (meta(margin='nan'), 'expected 0.5 to 4'),
    'margin 1e9': (meta(margin='1e9'), 'expected 0.5 to 4'),
    'margin inf': (meta(margin='-inf'), 'expected 0.5 to 4'),
    'options that are no JSON': (meta(options='{'), 'options that is not JSON'),
    'options that are a list': (meta(options='[]'), 'no JSON object'),
    'deep options': (meta(options='{"a":' + '[' * 400), 'options'),
    'long options': (meta(options='{"a":' + '[' * 100_000), '100005 characters'),
    'unknown option': (meta(options='{"deep": 1}'), "the option 'deep'"),
    'width 1e6': (meta(options='{"width": 1000000}'), 'expected 1 to 64'),
    'width 0': (meta(options='{"width": 0}'), 'expected 1 to 64'),
    'width true': (meta(options='{"width": true}'), 'of another type'),
    'width of a list': (meta(options='{"width": [1]}'), 'of another type'),
    'width NaN': (meta(options='{"width": NaN}'), 'the number NaN'),
    'width 1e6 as a float': (meta(options='{"width": 1e6}'), 'of another type'),
    'a size that is no power of two': (meta(options='{"input_size": 31}'), 'power of two'),
    'a million blocks': (meta(model='ccr', options='{"blocks": 1000000}'), 'expected 1 to 4'),
    'layers without end': (
        meta(model='parts3d', options='{"depth_layers": [1, 1000000, 1, 1]}'),
        'expected 1 to 24',
    ),
    'layers by the thousand': (meta(model='parts3d', options='{"depth_layers": []}'), 'length'),
    'backbone of any name': (
        meta(model='hopenet', options='{"backbone": "os.system"}'),
        "'os.system' is unknown",
    ),
    'scheme of any name': (meta(model='parts3d', options='{"scheme": "x"}'), 'make no parts3d'),
}


def test_the_file_that_the_others_are_made_of_is_good(tmp_path):
    (tmp_path / 'x.safetensors').write_bytes(GOOD)
    assert load_model(str(tmp_path / 'x.safetensors')).spec.input_size == SIZE


@pytest.mark.parametrize(('content', 'said'), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_weights_are_refused_in_one_line_and_at_once(tmp_path, content, said):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(content)
    start = time.process_time()
    with pytest.raises(WeightsError, match=said) as caught:
        load_model(str(path))
    assert time.process_time() - start < 10.0  # parts3d, without memory for it, takes 1.5 s
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500
    assert '\n' not in str(caught.value)


PATHS = {
    'long name': 'x' * 300 + '.safetensors',
    'very long': '/tmp/' + 'x/' * 50_000 + '.safetensors',
    'null byte': 'a\0b.safetensors',
    'no such home': '~nobody-of-this-name/x.safetensors',
    'lone surrogate': 'a\udcffb.safetensors',
    'nowhere': '/nowhere/x.safetensors',
    'long name of a model': 'x' * 100_000,
    'path of a model': '../../etc/passwd',
    'model in a folder': '/etc/passwd',
    'model with a null byte': 'mnn\0lite',
    'no name': '',
}


@pytest.mark.parametrize('path', PATHS.values(), ids=PATHS.keys())
def test_names_that_cannot_be_are_refused(path):
    with pytest.raises(WeightsError, match='no weights') as caught:
        load_model(path)
    assert len(str(caught.value)) < 600


def test_damaged_weights_are_refused_without_pytorch(tmp_path, monkeypatch):
    (tmp_path / 'x.safetensors').write_bytes(GOOD[:-1])
    monkeypatch.setitem(sys.modules, 'headpose_ros.models.weights', None)  # which imports it
    with pytest.raises(WeightsError, match='cut off'):
        Fallbacks(find_weights(str(tmp_path / 'x.safetensors')), CPU)


def test_what_is_no_regular_file_is_refused(tmp_path):
    (tmp_path / 'folder.safetensors').mkdir()
    os.mkfifo(tmp_path / 'pipe.safetensors')
    (tmp_path / 'zero.safetensors').symlink_to('/dev/zero')
    (tmp_path / 'circle.safetensors').symlink_to(tmp_path / 'circle.safetensors')
    (tmp_path / 'gone.safetensors').symlink_to(tmp_path / 'gone')
    (tmp_path / 'secret.safetensors').write_bytes(GOOD)
    (tmp_path / 'secret.safetensors').chmod(0)
    for path in sorted(tmp_path.iterdir()):
        if path.name == 'secret.safetensors' and os.access(path, os.R_OK):
            continue  # whoever runs this reads everything
        with pytest.raises(WeightsError, match=r'no weights|cannot read|Permission'):
            load_model(str(path))


def test_files_that_are_too_large_are_not_read(tmp_path):
    path = tmp_path / 'x.safetensors'
    with path.open('wb') as file:
        file.truncate(2**40)
    with pytest.raises(WeightsError, match='larger than'):
        load_model(str(path))


@pytest.mark.parametrize('card', ['[]', '{', '{"sha256": 3}', '[' * 60_000, '"' + 'x' * 2**20])
def test_hostile_cards_are_refused(tmp_path, card):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(GOOD)
    path.with_suffix('.json').write_text(card)
    with pytest.raises(WeightsError, match='is not JSON with a sha256') as caught:
        load_model(str(path))
    assert len(str(caught.value)) < 500


@given(place=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255))
@settings(deadline=None)
def test_no_damage_raises_anything_else(place, value):
    damaged = bytearray(GOOD)
    damaged[place] = value
    try:
        checked = check_safetensors(bytes(damaged))
    except WeightsFileError:
        return
    assert all(tensor.end <= len(GOOD) for tensor in checked.tensors.values())


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_no_header_raises_anything_else(text):
    with contextlib.suppress(WeightsFileError):
        assert check_safetensors(packed(b'{' + text)).tensors == {}  # there is no room for any


def test_weights_that_answer_with_nan_are_not_used(tmp_path, monkeypatch):
    loaded = load_model(str(write_small('mnn_encoder', tmp_path)))
    answer = {'rotation': np.full((1, 3, 3), np.nan, np.float32)}
    broken = SimpleNamespace(run=lambda crops: answer, spec=loaded.spec)
    monkeypatch.setattr(choose, 'make', lambda *_: broken)
    with pytest.raises(BackendError, match='NaN or infinity'):
        FaceNetwork(loaded, 'cpu')


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('points', np.zeros((1, 66, 2), np.float32)),
        ('rotation', np.zeros((1, 4), np.float32)),
        ('openness', np.full((1, 3), np.nan, np.float32)),
    ],
)
def test_an_answer_of_another_shape_or_of_nan_is_refused(name, values):
    good = {'rotation': np.eye(3, dtype=np.float32)[None], 'points': np.zeros((1, 68, 2), 'f4')}
    check(good, MODELS['mnn'])
    with pytest.raises(BackendError, match=name):
        check({**good, name: values}, MODELS['mnn'])


def test_every_published_size_is_within_the_limits():
    """Options of the defaults must be allowed: they are what the limits are made of."""
    for spec in MODELS.values():
        published = {
            name: argument.default
            for name, argument in inspect.signature(spec.network_class).parameters.items()
        }
        text = json.dumps({**published, **spec.defaults})
        assert build_options(text, spec.network_class, spec.defaults).keys() == published.keys()
        assert 16 <= spec.input_size <= 512
