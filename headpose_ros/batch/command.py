"""`headpose batch`: its options, and what it prints."""

from __future__ import annotations

import argparse
import functools
import hashlib
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from headpose_ros.batch.options import BatchOptions
from headpose_ros.errors import HeadposeError
from headpose_ros.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from headpose_ros.batch.engines import Engine
    from headpose_ros.batch.inputs import Recording
    from headpose_ros.batch.run import Plan, Report

#: Sources that could not be read and are named at the end; failed.parquet has all.
_MOST_NAMED = 5
_SOME_FAILED = 1


def add_batch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `headpose batch` to the command line."""
    from headpose_ros.tools.commands import add_faces_option, add_model_options

    parser = commands.add_parser(
        'batch',
        help='many films, bags and pictures to Parquet tables, on one machine or a cluster',
        description='Writes tables of faces, drivers and events, a folder for each source. The '
        'same command goes on where a run was interrupted. Exit code: 0 when all sources are '
        'finished, 1 when OUT/failed.parquet names some, 2 when the run could not go on.',
        epilog="headpose batch drives/ 'films/**/*.mp4' @more.txt s3://fleet/day out --workers 8",
    )
    parser.add_argument(
        'paths',
        nargs='*',
        metavar='INPUTS... OUT',
        help='files, folders, globs, URLs, or @FILE with one of these in each line; last the '
        'folder of the tables',
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        '--workers', type=_positive, default=1, metavar='N', help='processes (%(default)s)'
    )
    where.add_argument(
        '--ray', default='', metavar='ADDRESS', help='Ray cluster: auto, HOST:PORT or local'
    )
    parser.add_argument(
        '--gpus',
        type=float,
        default=0.0,
        metavar='SHARE',
        help='with --ray: share of a GPU for each worker, such as 0.25; the device is then cuda',
    )
    add_model_options(parser, DEFAULT_MODEL, 'cpu')
    add_faces_option(parser)
    parser.add_argument(
        '--image', action='append', default=[], metavar='TOPIC', help='of bags; default: all images'
    )
    parser.add_argument('--zones', default='', help='zones file; default: that of the package')
    # The names of driver_monitoring.zones.DRIVES, which a test holds equal: --help stays quick.
    parser.add_argument(
        '--drive',
        choices=('left_hand', 'right_hand'),
        default='left_hand',
        help='on which side drivers sit (%(default)s)',
    )
    parser.add_argument(
        '--split',
        type=float,
        default=1200.0,
        metavar='SECONDS',
        help='work on longer films in parts of this length; 0: never (%(default)s)',
    )
    parser.add_argument('--dry-run', action='store_true', help='list what is to be done, and end')
    parser.add_argument(
        '--estimate',
        type=float,
        metavar='HOURS',
        help='print what HOURS of recordings need, by the tables of a sample in OUT, and end',
    )
    parser.add_argument(
        '--schema', action='store_true', help='print the columns of all tables as Markdown, and end'
    )
    parser.set_defaults(command=_batch)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is no number of processes: expected 1 or more')
    return value


def _batch(options: argparse.Namespace, _: list[str]) -> int:
    from headpose_ros.batch.schema import markdown

    if options.schema:
        print(markdown(), end='')
        return 0
    *inputs, out = options.paths or ['']
    if not out or not (inputs or options.estimate):
        raise HeadposeError('expected INPUTS... OUT: what to read, and the folder of the tables')
    from headpose_ros.batch.folder import Folder

    folder = Folder(Path(out).expanduser().absolute())
    if options.estimate:
        from headpose_ros.batch.estimate import estimate

        print(estimate(folder, options.estimate))
        return 0
    return _run(inputs, folder.path, options)


def _run(inputs: Sequence[str], out: Path, options: argparse.Namespace) -> int:
    from headpose_ros.batch.folder import Folder
    from headpose_ros.batch.inputs import find_recordings
    from headpose_ros.batch.run import plan, run

    chosen, folder = _chosen(options), Folder(out)
    wanted = plan(find_recordings(inputs), chosen, folder)
    if options.dry_run:
        print(_listing(wanted))
        return 0
    with _ended_by_signals(), folder.owned():
        report = run(wanted, chosen, folder, _engine(options, chosen, out))
    print(_summary(report, out))
    _name_failures(report)
    return _SOME_FAILED if report.failed else 0


def _chosen(options: argparse.Namespace) -> BatchOptions:
    from headpose_ros.models.released import find_weights

    return BatchOptions(
        options.model,
        find_weights(options.model).sha256,
        'cuda' if options.gpus else options.device,
        options.max_faces,
        tuple(options.image),
        options.zones,
        _digest(options.zones) if options.zones else '',
        options.drive,
        options.split,
    )


def _digest(file: str) -> str:
    """Return the sha256 of a zones file that can be read, so that mistakes end before the work."""
    from headpose_ros.driver_monitoring.zones_file import read_zones
    from headpose_ros.foreign_files import user_path

    read_zones(file)
    return hashlib.sha256(user_path(file).read_bytes()).hexdigest()


def _engine(options: argparse.Namespace, chosen: BatchOptions, out: Path) -> Engine:
    from headpose_ros.batch import engines
    from headpose_ros.batch.work import do

    work = functools.partial(do, options=chosen, out=str(out))
    if options.ray:
        return engines.RayCluster(work, options.ray, options.gpus)
    if options.workers > 1:
        return engines.Processes(work, options.workers)
    return engines.InProcess(work)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl+C does: tables are whole whenever it comes."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listing(wanted: Plan) -> str:
    from headpose_ros.batch.run import readable
    from headpose_ros.tools.text_table import text_table

    rows = [['', 'size', 'source'], *(_row('to do', r) for r in wanted.todo)]
    rows += [_row('finished', r) for r in wanted.before]
    total = readable(sum(r.bytes for r in wanted.todo))
    return (
        f'{text_table(rows)}\n{len(wanted.todo)} sources to do, {total}; {len(wanted.before)} '
        'finished'
    )


def _row(state: str, recording: Recording) -> list[str]:
    from headpose_ros.batch.run import readable

    return [state, readable(recording.bytes), recording.uri]


def _summary(report: Report, out: Path) -> str:
    from headpose_ros.batch.run import duration

    rate = report.images / max(report.seconds, 1e-9)
    return (
        f'{report.finished} sources finished, {report.before} before, {len(report.failed)} failed; '
        f'{report.images} images in {duration(report.seconds)}, {rate:.1f} images/s: {out}'
    )


def _name_failures(report: Report) -> None:
    for recording, reason in list(report.failed.items())[:_MOST_NAMED]:
        print(f'headpose: {recording.uri}: {reason}', file=sys.stderr)
    more = len(report.failed) - _MOST_NAMED
    if more > 0:
        print(f'headpose: and {more} more: failed.parquet', file=sys.stderr)
