"""Many recordings to tables: found, worked on once, whole whatever happens, and described."""

from __future__ import annotations

import errno
import functools
import importlib
import io
import multiprocessing
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('pyarrow', reason='pip install pyarrow')
pytest.importorskip('rosbags', reason='pip install rosbags')

import cv2
import pyarrow.parquet

from headpose_ros.batch import engines, schema, split
from headpose_ros.batch.command import add_batch
from headpose_ros.batch.engines import InProcess, Processes, resources
from headpose_ros.batch.folder import Folder
from headpose_ros.batch.images import Image, Skipped, Span, images
from headpose_ros.batch.inputs import InputError, Recording, find_recordings
from headpose_ros.batch.look import Seen
from headpose_ros.batch.options import BatchOptions
from headpose_ros.batch.run import plan, run
from headpose_ros.batch.tables import TableWriter, read_rows, write_table
from headpose_ros.batch.work import Outcome, Piece
from headpose_ros.cli import main
from headpose_ros.errors import HeadposeError
from headpose_ros.files import OutputError
from headpose_ros.sources.video import VideoSource

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs' / 'scale.md'


@pytest.fixture(scope='module')
def fleet_module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        yield importlib.import_module('fleet')


@pytest.fixture(scope='module')
def kills() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        yield importlib.import_module('kills')


@pytest.fixture(scope='module')
def fleet(fleet_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films, a bag of each storage, two pictures."""
    folder = tmp_path_factory.mktemp('fleet')
    fleet_module.write_fleet(folder, films=2, bags=2, seconds=0.5, width=160)
    picture = next(fleet_module.pictures(0.0, 0.1, 160))[1]
    (folder / 'faces').mkdir()
    for name in ('p2.jpg', 'p10.jpg'):
        cv2.imwrite(str(folder / 'faces' / name), picture)
    (folder / 'notes.txt').write_text('no recording')
    return folder


@pytest.fixture(scope='module')
def undisturbed(fleet: Path, kills: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the fleet."""
    out = tmp_path_factory.mktemp('undisturbed')
    report = kills.work([str(fleet)], out, InProcess)
    assert (report.finished, report.failed) == (5, {})
    return out


def rows(out: Path, table: str, name: str = '*') -> list[dict[str, Any]]:
    files = sorted(out.glob(f'recordings/{name}/{table}.parquet'))
    return [row for file in files for row in read_rows(file)]


# What there is to do


def names(recordings: list[Recording], folder: Path) -> list[tuple[str, str]]:
    return [(os.path.relpath(r.uri, folder), r.kind) for r in recordings]


def test_a_folder_means_its_films_bags_and_pictures(fleet):
    found = find_recordings([str(fleet)])
    assert names(found, fleet) == [
        ('driver_0/bag_0003', 'bag'),
        ('driver_0/film_0000.mp4', 'film'),
        ('driver_1/film_0001.mp4', 'film'),
        ('driver_2/bag_0002', 'bag'),
        ('faces', 'pictures'),
    ]
    assert [r.files for r in found if r.files] == [('p2.jpg', 'p10.jpg')]
    bag = next(r for r in found if r.kind == 'bag')
    assert bag.bytes == sum(file.stat().st_size for file in Path(bag.uri).iterdir())


def test_globs_and_lists_mean_the_same(fleet, tmp_path):
    listed = tmp_path / 'list.txt'
    listed.write_text(f'{fleet}/driver_0\n\n{fleet}/**/*.mp4\n')
    found = names(find_recordings([f'@{listed}']), fleet)
    assert found == [
        ('driver_0/bag_0003', 'bag'),
        ('driver_0/film_0000.mp4', 'film'),
        ('driver_1/film_0001.mp4', 'film'),
    ]


@pytest.mark.parametrize(
    ('word', 'said'),
    [
        ('nowhere', 'nothing is at nowhere'),
        ('nothing*.mp4', 'nothing is at'),
        ('@nowhere.txt', 'cannot read the list nowhere.txt'),
        ('nosuch://host/file.mp4', 'cannot open nosuch://host/file.mp4'),
        ('notes.txt', 'no recording at notes.txt'),
    ],
)
def test_a_word_that_means_nothing_is_named(fleet, monkeypatch, word, said):
    monkeypatch.chdir(fleet)
    with pytest.raises(InputError, match=re.escape(said)):
        find_recordings([word])


def test_urls_are_read_like_paths(fleet, undisturbed, kills, tmp_path):
    memory = pytest.importorskip('fsspec').filesystem('memory')
    for file in fleet.rglob('*'):
        if file.is_file():
            memory.pipe_file(f'/fleet/{file.relative_to(fleet)}', file.read_bytes())
    try:
        found = find_recordings(['memory://fleet'])
        local = find_recordings([str(fleet)])
        assert [(r.kind, r.bytes, r.files) for r in found] == [
            (r.kind, r.bytes, r.files) for r in local
        ]
        assert all(r.modified for r in found)
        report = kills.work(['memory://fleet'], tmp_path, InProcess)
        assert (report.finished, report.failed) == (5, {})
        assert [r['yaw'] for r in by_name(tmp_path)] == [r['yaw'] for r in by_name(undisturbed)]
    finally:
        memory.rm('/fleet', recursive=True)


def by_name(out: Path) -> list[dict[str, Any]]:
    return sorted(
        rows(out, 'faces'), key=lambda r: (Path(r['source']).name, r['topic'], r['image'])
    )


def test_a_dry_run_lists_sizes_and_writes_nothing(fleet, tmp_path, capsys):
    assert main(['batch', str(fleet), str(tmp_path / 'out'), '--dry-run']) == 0
    said = capsys.readouterr().out
    assert '5 sources to do' in said
    assert re.search(r'to do +[\d.]+ kB +\S+film_0000\.mp4', said)
    assert not (tmp_path / 'out').exists()


def test_what_differs_is_worked_on_again(tmp_path):
    one = Recording('/a.mp4', 'film', 10, 5)
    options = BatchOptions(model_sha256='a')
    same = one.fingerprint(options)
    assert Recording('/a.mp4', 'film', 10, 5).fingerprint(options) == same
    others = [
        Recording('/a.mp4', 'film', 11, 5).fingerprint(options),
        Recording('/a.mp4', 'film', 10, 6).fingerprint(options),
        one.fingerprint(BatchOptions(model_sha256='b')),
        one.fingerprint(BatchOptions(model_sha256='a', drive='right_hand')),
    ]
    assert len({same, *others}) == 5
    # The device and the name of the same weights make no difference.
    assert one.fingerprint(BatchOptions('other', 'a', 'cuda')) == same
    assert Recording('/b/a.mp4', 'film', 1, 1).key != Recording('/c/a.mp4', 'film', 1, 1).key


# The tables


def test_every_image_and_face_has_its_row(fleet, undisturbed):
    faces, driver = (
        rows(undisturbed, 'faces', 'bag_0002*'),
        rows(undisturbed, 'driver', 'bag_0002*'),
    )
    assert [row['image'] for row in driver] == list(range(8))
    assert driver[0]['stamp'] == 1_700_000_000.0
    assert driver[0]['offset'] == 0.0
    assert driver[3]['offset'] == pytest.approx(3 / 15, abs=1e-6)
    assert driver[0]['duration'] == pytest.approx(1 / 15, abs=1e-6)
    assert driver[-1]['duration'] == 0.0
    assert {row['topic'] for row in faces} == {'/cabin/image_raw/compressed'}
    # The photograph as a camera of 53 degrees sees it: half a metre away, and the right way up.
    face = faces[-1]
    assert 0.2 < face['z'] < 1.0
    assert len(face['landmarks_x']) == len(face['visibility']) == 68
    assert len(face['covariance']) == 36
    assert np.linalg.norm([face[name] for name in ('qx', 'qy', 'qz', 'qw')]) == pytest.approx(1.0)
    assert face['landmarks_x'][0] * 64 % 1 == 0
    assert face['gaze_x'] is None


def test_what_is_not_known_is_null(undisturbed):
    faces = rows(undisturbed, 'faces', 'film_0000*')
    assert faces
    assert all(face['x'] is None and face['covariance'][0] is None for face in faces)
    pictures = rows(undisturbed, 'faces', 'faces-*')
    assert [(p['topic'], p['stamp'], p['id']) for p in pictures] == [
        ('p2.jpg', None, 'f1'),
        ('p10.jpg', None, 'f1'),
    ]
    assert not rows(undisturbed, 'driver', 'faces-*')


def test_the_summary_has_every_source(fleet, undisturbed):
    summary = {Path(row['source']).name: row for row in read_rows(undisturbed / 'summary.parquet')}
    assert len(summary) == 5
    film = summary['film_0000.mp4']
    assert (film['kind'], film['images'], film['skipped'], film['ids']) == ('film', 8, 0, 1)
    assert film['seconds'] == pytest.approx(7 / 15, abs=1e-3)
    assert list(read_rows(undisturbed / 'failed.parquet')) == []


def test_columns_carry_their_units():
    fields = {field.name: field for field in schema.arrow_schema('faces')}
    assert fields['z'].metadata[b'unit'] == b'm'
    for table in schema.TABLES.values():
        assert len({column.name for column in table}) == len(table)


def test_the_docs_have_the_columns_as_they_are(capsys):
    assert main(['batch', '--schema']) == 0
    assert capsys.readouterr().out.strip() in DOCS.read_text()


def test_the_options_are_those_of_the_parts():
    import argparse

    from headpose_ros.driver_monitoring.zones import DRIVES

    parser = argparse.ArgumentParser()
    add_batch(parser.add_subparsers())
    help_text = parser._subparsers._group_actions[0].choices['batch'].format_help()
    assert '{' + ','.join(DRIVES) + '}' in help_text


# Once, and whole


def test_what_is_finished_is_not_done_again(fleet, undisturbed, kills, tmp_path):
    def never(task: Any) -> Any:
        return InProcess(lambda piece: pytest.fail(f'{piece} is finished'))

    before = {file: file.stat().st_mtime_ns for file in undisturbed.glob('recordings/*/*')}
    report = kills.work([str(fleet)], undisturbed, never)
    assert (report.finished, report.before) == (0, 5)
    assert before == {file: file.stat().st_mtime_ns for file in undisturbed.glob('recordings/*/*')}


def test_a_source_that_changed_is_done_again(fleet_module, kills, tmp_path):
    film, out = tmp_path / 'film.mp4', tmp_path / 'out'
    fleet_module.write_film(film, 0.0, 0.2, 160)
    assert kills.work([str(film)], out, InProcess).finished == 1
    film.unlink()
    fleet_module.write_film(film, 0.0, 0.4, 160)
    report = kills.work([str(film)], out, InProcess)
    assert (report.finished, report.before) == (1, 0)
    assert len(rows(out, 'driver')) == 6
    assert len(list((out / 'recordings').iterdir())) == 1


def test_damaged_sources_are_named_and_the_rest_is_done(fleet, fleet_module, tmp_path, capsys):
    source, out = tmp_path / 'source', tmp_path / 'out'
    source.mkdir()
    fleet_module.write_film(source / 'good.mp4', 0.0, 0.2, 160)
    whole = (source / 'good.mp4').read_bytes()
    (source / 'noise.mp4').write_bytes(os.urandom(1000))
    (source / 'noise.mcap').write_bytes(b'\x89MCAP0\r\n' + os.urandom(100))
    (source / 'no.jpg').write_bytes(b'no picture')
    assert main(['batch', str(source), str(out)]) == 1
    said = capsys.readouterr()
    assert '1 sources finished, 0 before, 3 failed' in said.out
    failed = {Path(row['source']).name: row for row in read_rows(out / 'failed.parquet')}
    assert set(failed) == {'noise.mp4', 'noise.mcap', 'source'}
    assert 'cannot read' in failed['noise.mp4']['reason']
    assert 'no image can be used' in failed['source']['reason']
    assert all(row['reason'] in said.err for row in failed.values())
    # What was mended is done by the same command, and leaves the list.
    (source / 'noise.mp4').write_bytes(whole)
    for name in ('noise.mcap', 'no.jpg'):
        (source / name).unlink()
    assert main(['batch', str(source), str(out)]) == 0
    assert '1 sources finished, 1 before, 0 failed' in capsys.readouterr().out
    assert list(read_rows(out / 'failed.parquet')) == []


def test_a_full_disk_ends_the_run_and_leaves_nothing_half(
    fleet, undisturbed, kills, tmp_path, monkeypatch
):
    real, written = TableWriter._flush, []

    def full(self: TableWriter) -> None:
        written.append(self._path)
        if len(written) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self)

    monkeypatch.setattr(TableWriter, '_flush', full)
    with pytest.raises(OutputError, match='No space left on device'):
        kills.work([str(fleet)], tmp_path, InProcess)
    monkeypatch.undo()
    assert not (tmp_path / '.aside').exists()
    whole = {'faces', 'driver', 'events', 'summary', 'cost'}
    done = list((tmp_path / 'recordings').iterdir())
    assert 0 < len(done) < 5
    assert all({file.stem for file in folder.iterdir()} == whole for folder in done)
    report = kills.work([str(fleet)], tmp_path, InProcess)
    assert report.before == len(done)
    assert kills.tables(tmp_path) == kills.tables(undisturbed)


def test_a_disk_that_is_really_full_is_reported(tmp_path):
    with pytest.raises(OutputError, match='cannot write /dev/full'):
        write_table(Path('/dev/full'), 'failed', [{'source': 'a', 'reason': 'b'}])


def test_two_runs_do_not_share_a_folder(tmp_path):
    with (
        Folder(tmp_path).owned(),
        pytest.raises(OutputError, match='another run writes'),
        Folder(tmp_path).owned(),
    ):
        pass


def test_tables_of_a_worker_that_was_given_up_change_nothing(tmp_path):
    folder, recording = Folder(tmp_path), Recording('/a.mp4', 'film', 1, 2)
    options = BatchOptions()
    with folder.owned():
        for word in ('first', 'second'):
            with folder.aside() as aside:
                tables = aside / 'tables'
                tables.mkdir()
                row = {'source': word, 'fingerprint': recording.fingerprint(options)}
                write_table(tables / 'summary.parquet', 'summary', [row])
                folder.publish(recording, options, tables)
    assert [row['source'] for row in folder.rows('summary')] == ['first']


def test_other_weights_on_a_machine_are_refused(fleet, tmp_path):
    from headpose_ros.batch.look import analyzer

    analyzer.cache_clear()
    with pytest.raises(HeadposeError, match='install the same release everywhere'):
        analyzer(BatchOptions(model_sha256='of other weights'))


# Processes


def work_of_pool(piece: Piece) -> Outcome:
    """Fail, kill the worker, or work."""
    if 'poison' in piece.recording.uri:
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(piece, images=1)


def test_a_source_that_kills_its_workers_is_given_up_and_the_others_are_done(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, 'ATTEMPTS', 2)
    found = tuple(Recording(f'/{n}.mp4', 'film', 1, 1) for n in ('a', 'poison', 'b', 'c'))
    options, folder, shown = BatchOptions(), Folder(tmp_path), io.StringIO()
    with folder.owned():
        wanted = plan(found, options, folder)
        report = run(wanted, options, folder, Processes(work_of_pool, 2), shown)
    assert report.images == 3
    assert [r.uri for r in report.failed] == ['/poison.mp4']
    assert 'worker was killed' in report.failed[found[1]]


def test_killed_processes_leave_the_same_tables(fleet, undisturbed, kills, tmp_path):
    def children() -> list[int]:
        return [process.pid for process in multiprocessing.active_children()]

    with kills.Killer(children, kills=3, pause=0.25) as killer:
        report = kills.work([str(fleet)], tmp_path, lambda task: Processes(task, 2))
    assert killer.killed
    assert (report.finished, report.failed) == (5, {})
    assert kills.tables(tmp_path) == kills.tables(undisturbed)


def test_ray_is_asked_for_a_core_and_a_share_of_a_gpu():
    assert resources(0.25)['num_gpus'] == 0.25
    assert 'num_gpus' not in resources(0.0)
    assert resources(0.0)['num_cpus'] == 1


def test_an_interrupted_run_goes_on(fleet, undisturbed, kills, tmp_path):
    """As Ctrl+C in the middle of the second source."""
    seen: list[Piece] = []

    def interrupted(piece: Piece, task: Any) -> Outcome:
        seen.append(piece)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return task(piece)

    with pytest.raises(KeyboardInterrupt):
        kills.work(
            [str(fleet)],
            tmp_path,
            lambda task: InProcess(functools.partial(interrupted, task=task)),
        )
    assert len(list(read_rows(tmp_path / 'summary.parquet'))) == 1
    assert kills.work([str(fleet)], tmp_path, InProcess).before == 1
    assert kills.tables(tmp_path) == kills.tables(undisturbed)


# Long films


@pytest.fixture(scope='module')
def long_film(fleet_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('long') / 'long.mp4'
    fleet_module.write_film(path, 0.0, 12.0, 160)
    return path


def test_a_film_goes_on_at_any_key_frame(long_film):
    with VideoSource(long_film) as film:
        keys = film.key_frames()
        every = dict(film.timed())
        # A key frame at least every 30 frames, of 15 a second.
        assert keys[0] == 0.0
        assert np.diff(keys).max() <= 2.0 + 1e-6
        for time in (keys[3], keys[1], keys[2] + 0.5):
            film.seek(time)
            found = dict(film.timed())
            begin = max(key for key in keys if key <= time + 1e-6)
            assert list(found) == [t for t in every if t >= begin - 1e-6]
            assert all((found[t] == every[t]).all() for t in list(found)[:3])


def test_long_films_are_split_at_key_frames(long_film):
    assert split.spans(long_film, 0.0) == split.spans(long_film, 100.0) == [Span()]
    parts = split.spans(long_film, 4.0)
    assert [part.begin for part in parts] == [0.0, 4.0, 8.0]
    assert [part.end for part in parts] == [4.0, 8.0, np.inf]
    assert all(part.read_from <= max(part.begin - split.WARM_UP, 0.0) for part in parts)


def test_a_film_in_parts_has_the_tracks_of_the_whole(long_film, kills, tmp_path, monkeypatch):
    monkeypatch.setattr(split, 'WARM_UP', 3.0)
    kills.work([str(long_film)], tmp_path / 'whole', InProcess, split=0.0)
    kills.work([str(long_film)], tmp_path / 'parts', InProcess, split=4.0)
    whole, parts = rows(tmp_path / 'whole', 'faces'), rows(tmp_path / 'parts', 'faces')
    for name in ('image', 'offset', 'id'):
        assert [row[name] for row in whole] == [row[name] for row in parts]
    for name, most in (('yaw', 0.1), ('pitch', 0.1), ('landmarks_x', 0.25), ('box_y', 0.25)):
        one, other = (np.array([row[name] for row in found]) for found in (whole, parts))
        assert np.abs(one - other).max() < most, name
    driver = [[row['state'] for row in rows(tmp_path / n, 'driver')] for n in ('whole', 'parts')]
    assert driver[0] == driver[1]
    assert not list((tmp_path / 'parts' / '.parts').iterdir())


def test_parts_that_are_there_are_not_done_again(long_film, kills, tmp_path):
    done: list[tuple[str, int]] = []

    def noted(piece: Piece, task: Any, stop: int) -> Outcome:
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append((piece.action, piece.number))
        return task(piece)

    def work(stop: int) -> None:
        def engine(task: Any) -> InProcess:
            return InProcess(functools.partial(noted, task=task, stop=stop))

        kills.work([str(long_film)], tmp_path, engine, split=4.0)

    with pytest.raises(KeyboardInterrupt):
        work(stop=3)
    work(stop=99)
    assert done == [
        *[('whole', 0), ('part', 0), ('part', 1)],
        *[('whole', 0), ('part', 2), ('join', 0)],
    ]


def face(name: str, x: float) -> Any:
    from headpose_ros.perception.faces import Face

    empty = np.zeros(0)
    box = np.array([x, 0.0, 10.0, 10.0])
    return Face(name, box, np.eye(3), np.zeros((0, 2)), empty, empty, 1.0)


def test_ids_of_parts_become_those_of_the_film(tmp_path):
    """Two people change their order between parts; a third one comes in the second part."""

    def seen(stamp: float, *faces: Any) -> Seen:
        return Seen('', stamp, stamp, (100, 100), None, faces)

    first = [seen(t, face('f1', 0.0), face('f2', 50.0)) for t in (0.0, 1.0, 2.0)]
    second = [seen(t, face('f1', 51.0), face('f2', 1.0)) for t in (1.0, 2.0)]
    second += [seen(3.0, face('f1', 51.0), face('f2', 1.0), face('f3', 80.0))]
    for name, part in (('a', first), ('b', second)):
        (tmp_path / name).mkdir()
        assert split.write_part(tmp_path / name, part) == 3
    spans = [Span(0.0, 0.0, 3.0), Span(1.0, 3.0)]
    found = list(split.joined([tmp_path / 'a', tmp_path / 'b'], spans))
    assert [one.stamp for one in found] == [0.0, 1.0, 2.0, 3.0]
    assert [(f.id, f.box[0]) for f in found[-1].faces] == [('f2', 51.0), ('f1', 1.0), ('f3', 80.0)]


def test_memory_does_not_grow_with_the_length(tmp_path):
    """What waits to be written is one group of rows, however many there are."""
    most = 0
    with TableWriter(tmp_path / 'driver.parquet', 'driver') as writer:
        for image in range(10_000):
            writer.add({'source': 'a', 'topic': '', 'image': image})
            most = max(most, len(writer._rows))
    assert most <= 2048
    assert pyarrow.parquet.ParquetFile(tmp_path / 'driver.parquet').metadata.num_rows == 10_000


# Bags


def test_of_a_camera_that_was_recorded_twice_one_is_read(fleet):
    class Connection:
        def __init__(self, topic: str, kind: str, count: int = 1) -> None:
            self.topic, self.msgtype, self.msgcount = topic, f'sensor_msgs/msg/{kind}', count

    from headpose_ros.batch.images import _image_connections

    class Bag:
        connections = [  # noqa: RUF012
            Connection('/a/image_raw', 'Image'),
            Connection('/a/image_raw/compressed', 'CompressedImage'),
            Connection('/b/image_raw/compressed', 'CompressedImage'),
            Connection('/c/image_raw', 'Image', 0),
            Connection('/a/camera_info', 'CameraInfo'),
        ]

    found = [c.topic for c in _image_connections(Bag(), ())]
    assert found == ['/a/image_raw', '/b/image_raw/compressed']
    with pytest.raises(HeadposeError, match='expected /z'):
        _image_connections(Bag(), ('/z',))


def test_a_damaged_message_costs_itself_alone(fleet, monkeypatch):
    recording = next(r for r in find_recordings([str(fleet)]) if r.kind == 'bag')
    from headpose_ros.batch import images as module

    real, count = module._message, iter(range(1000))

    def damaged(data: bytes, kind: str) -> Any:
        cut = kind.endswith('Image') and next(count) == 3
        return real(data[:40] if cut else data, kind)

    monkeypatch.setattr(module, '_message', damaged)
    skipped = Skipped()
    found = list(images(recording, Path(recording.uri), (), skipped))
    assert (len(found), skipped.count) == (7, 1)
    assert 'damaged sensor_msgs/msg/CompressedImage' in skipped.problem
    assert all(isinstance(one, Image) and one.camera is not None for one in found)


# Questions and figures


def block(title: str, language: str) -> list[str]:
    """Return the code blocks of a language under a heading of the docs."""
    text = DOCS.read_text().partition(f'## {title}\n')[2].partition('\n## ')[0]
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


@pytest.fixture
def answered(tmp_path, monkeypatch) -> list[list[tuple]]:
    """The answers to the questions of the docs, over tables with known numbers."""
    duckdb = pytest.importorskip('duckdb', reason='pip install duckdb')
    known = [('/data/anna/1.mcap', 'road', 3.0), ('/data/anna/1.mcap', 'left_mirror', 1.0)]
    known += [('/data/anna/2.mcap', 'road', 4.0), ('/data/ben/1.mcap', 'road', 2.0)]
    for source, zone, seconds in known:
        folder = tmp_path / 'out/recordings' / f'{source}-{zone}'.replace('/', '_')
        folder.mkdir(parents=True)
        row = {'source': source, 'topic': '/cabin/image_raw', 'zone': zone, 'duration': seconds}
        write_table(folder / 'driver.parquet', 'driver', [row, {**row, 'zone': '', 'duration': 9}])
        event = {'source': source, 'topic': '/cabin/image_raw', 'kind': 'closure'}
        events = [{**event, 'duration': 0.5, 'offset': 5.0}]
        if zone == 'left_mirror':
            events.append({**event, 'duration': 1.5, 'offset': 61.7})
        write_table(folder / 'events.parquet', 'events', events)
        faces = [{'source': source, 'topic': '/cabin/image_raw', 'yaw': y} for y in (-3.0, 4.0, 12)]
        write_table(folder / 'faces.parquet', 'faces', faces)
    monkeypatch.chdir(tmp_path)
    return [duckdb.sql(query).fetchall() for query in block('Three questions', 'sql')]


def test_the_questions_of_the_docs_are_answered(answered):
    shares, closures, histogram = answered
    assert shares == [('anna', 'road', 0.875), ('anna', 'left_mirror', 0.125), ('ben', 'road', 1.0)]
    assert [row[-1] for row in closures] == ['/data/anna/1.mcap#t=61']
    assert [row[:-1] for row in closures] == [('/data/anna/1.mcap', '/cabin/image_raw', 1.5)]
    assert histogram == [
        ('anna', '/cabin/image_raw', -10, 3),
        ('anna', '/cabin/image_raw', 0, 3),
        ('anna', '/cabin/image_raw', 10, 3),
        ('ben', '/cabin/image_raw', -10, 1),
        ('ben', '/cabin/image_raw', 0, 1),
        ('ben', '/cabin/image_raw', 10, 1),
    ]


def test_hours_are_estimated_from_a_sample(tmp_path, capsys):
    folder = tmp_path / 'recordings' / 'a'
    folder.mkdir(parents=True)
    cost = {'images': 900, 'faces': 450, 'seconds': 36.0, 'work': 18.0, 'bytes': 450_000}
    write_table(folder / 'cost.parquet', 'cost', [{'source': 'a', 'device': 'cpu', **cost}])
    assert main(['batch', '--estimate', '1000', str(tmp_path)]) == 0
    lines = [' '.join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert 'core hours 0.005 500' in lines
    assert 'images per second and core 50.0' in lines
    assert 'bytes per face 1000' in lines
    assert 'tables 450 kB 45 GB' in lines


def test_progress_tells_how_much_is_left():
    from headpose_ros.batch.run import Plan, Report, _Progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    found = tuple(Recording(f'/{n}.mp4', 'film', 500_000, 1) for n in range(4))
    progress = _Progress(Plan(found, ()), Terminal())
    progress.finish(found[0])
    line = progress._line(Report(images=300, failed={}), 10.0)
    assert line == '1 of 4 sources, 500 kB of 2 MB, 30 images/s, 0:00:30 left, 0 failed'


def test_nobody_waits_for_a_killed_head(tmp_path):
    """Workers end with the process that started them, even when it is killed."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    head = context.Process(target=head_with_worker, args=(theirs,))
    head.start()
    worker = ours.recv()
    head.kill()
    head.join()
    ended = threading.Event()

    def watch() -> None:
        while os.path.exists(f'/proc/{worker}') and not is_zombie(worker):
            ended.wait(0.05)
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    assert ended.wait(60.0) or not os.path.exists(f'/proc/{worker}')


def is_zombie(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except FileNotFoundError:
        return True


def head_with_worker(connection: Any) -> None:
    engine = Processes(send_pid, 1)
    engine.submit(Piece(Recording('/a.mp4', 'film', 1, 1)))
    outcome = engine.wait(60.0)[0]
    connection.send(outcome.images)
    signal.pause()


def send_pid(piece: Piece) -> Outcome:
    return Outcome(piece, images=os.getpid())
