"""YAML of other people's making: as other programs write it, and as an attacker does."""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_ros.foreign_files import FileError
from headpose_ros.yaml_files import YamlError, compose, parse, read_text


@given(st.floats(allow_nan=False))
@settings(deadline=None)
def test_floats_are_read_as_c_and_python_write_them(value):
    assert parse(f'[{value!r}, {value:.17g}, {value:.16e}]') == [value] * 3 or math.isinf(value)


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        *[('-3e-05', -0.00003), ('1e5', 1e5), ('1.', 1.0), ('.5', 0.5), ('+4.5E+2', 450.0)],
        *[('-.inf', -math.inf), ('0x10', '0x10'), ('010', 10), ('-7', -7), ('12e', '12e')],
        *[('true', True), ('yes', 'yes'), ('off', 'off'), ('1:30', '1:30'), ('', None)],
        *[('~', None), ('2026-12-01', '2026-12-01'), ("'1e5'", '1e5'), ('1_000', '1_000')],
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    read = parse(f'key: {text}')['key']
    assert read == value
    assert type(read) is type(value)


def test_what_opencv_writes_is_read():
    text = (
        '%YAML:1.0\n---\ncamera_matrix: !!opencv-matrix\n   rows: 1\n   cols: 2\n   dt: d\n'
        '   data: [ 6.5746697810243404e+02, 0. ]\n'
    )
    matrix = parse(text)['camera_matrix']
    assert matrix['data'] == [657.46697810243404, 0.0]


@pytest.mark.parametrize('start', [b'', b'\xef\xbb\xbf'])
@pytest.mark.parametrize('end', [b'\n', b'\r\n'])
def test_marks_and_ends_of_lines_do_not_matter(tmp_path, start, end):
    file = tmp_path / 'a.yaml'
    file.write_bytes(start + end.join([b'a: 1', b'b:', b'- x', b'']))
    assert parse(read_text(file)) == {'a': 1, 'b': ['x']}


_LAUGHS = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{b}: &{b} [{", ".join([f"*{a}"] * 9)}]\n' for a, b in zip('abcdefgh', 'bcdefghi', strict=True)
)
HOSTILE = {
    'a billion laughs': (_LAUGHS, 'aliases'),
    'merge': ('a: &a {x: 1}\nb: {<<: *a}', 'aliases'),
    'endless list': ('&a [*a]', 'aliases'),
    'deep lists': ('[' * 30_000, 'levels deep'),
    'deep mappings': ('{a: ' * 15_000, 'levels deep'),
    'deep blocks': ('\n'.join(' ' * i + 'a:' for i in range(300)), 'levels deep'),
    'deep sequences': ('- ' * 30_000, 'levels deep'),
    'object': ('!!python/object/apply:os.system [echo]', 'constructor'),
    'name': ('!!python/name:os.system', 'constructor'),
    'own tag': ('!boom 3', 'constructor'),
    'twice': ('a: 1\nb: 2\na: 3', 'stands there twice'),
    'list as key': ('? [1]\n: 2', 'a key is a list'),
    'two documents': ('a: 1\n---\nb: 2', 'another document'),
    'number of thousands of digits': ('9' * 30_000, 'digits'),
    'control character': ('a: \x07', 'special characters'),
    'tabs': ('a:\n\t- 1', 'token'),
    'unclosed': ('a: [1', 'expected'),
    'long text': ('a: ' + 'x' * 70_000, 'longer than'),
    'wrong binary': ('a: !!binary x', 'base64'),
}


@pytest.mark.parametrize(('text', 'said'), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_are_refused_in_one_line_and_at_once(text, said):
    start = time.process_time()
    with pytest.raises(YamlError, match=said) as caught:
        parse(text)
    assert time.process_time() - start < 1.0
    assert len(str(caught.value)) < 300
    assert '\n' not in str(caught.value)


def test_an_error_has_its_line():
    with pytest.raises(YamlError) as caught:
        parse('a: 1\nb: 2\na: 3')
    assert caught.value.line == 3


@given(st.text(alphabet='ab:-[]{}&*!%"\'\n #?|>,01.~\t', max_size=60))
@settings(deadline=None)
def test_no_text_raises_anything_else(text):
    for read in (parse, compose):
        with contextlib.suppress(YamlError):
            read(text)


def test_what_is_no_text_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'large').write_bytes(b'a: 1\n' * 100_000)
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    (tmp_path / 'link').symlink_to(tmp_path / 'binary')
    (tmp_path / 'circle').symlink_to(tmp_path / 'circle')
    for name, said in {
        'pipe': 'not a regular file',
        'large': 'larger than',
        'binary': 'not a text',
        'nothing': 'No such file',
        'x' * 300: 'too long',
        '': 'directory|regular',
        'null\0byte': 'null byte',
        'circle': 'a link',
    }.items():
        with pytest.raises(FileError, match=said):
            read_text(tmp_path / name)
    with pytest.raises(FileError, match='not a regular file'):
        read_text(Path('/dev/zero'))
    with pytest.raises(FileError, match='a link'):
        read_text(tmp_path / 'link', follow=False)


def test_the_largest_text_takes_no_longer_than_a_second(tmp_path):
    file = tmp_path / 'a.yaml'
    file.write_text('- [1, 2]\n' * 7_000)
    start = time.process_time()
    assert len(parse(read_text(file))) == 7_000
    assert time.process_time() - start < 5.0  # some 1 s on an idle core
