"""The tools as subcommands of `headpose`; what each needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headpose_ros.extras import needed_by
from headpose_ros.files import check_new
from headpose_ros.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from headpose_ros.perception.analyze import Analyzer

Commands = argparse._SubParsersAction
_INTERRUPTED = 130


def add_tools(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add every tool to the command line."""
    for add in (_add_video, _add_plot, _add_bag, _add_stream, _add_view):
        add(commands)


def add_model_options(parser: argparse.ArgumentParser, model: str, device: str) -> None:
    """Add --model and --device with these defaults; empty: as in the params file."""
    said = f' ({model})' if model else '; empty: as in the params file'
    parser.add_argument('--model', default=model, help=f'network or .safetensors file{said}')
    said = f' ({device})' if device else '; empty: as in the params file'
    parser.add_argument('--device', default=device, help=f'auto, cpu, cuda or cuda:N{said}')


def add_style_option(parser: argparse.ArgumentParser) -> None:
    """Add --style: which axes are drawn."""
    # The names of perception.draw.AXIS_STYLES, which a test holds equal: --help must stay quick.
    parser.add_argument(
        '--style',
        choices=('tf', 'paper'),
        default='tf',
        help='axes: as TF (x out of the face red, y green, z blue) or as figures of papers '
        '(right red, down green, out of the face blue) (%(default)s)',
    )


def add_faces_option(parser: argparse.ArgumentParser) -> None:
    """Add --max-faces: how large a crowd may be."""
    # The default of perception.tracking.TrackingOptions, which a test holds equal.
    parser.add_argument(
        '--max-faces',
        type=_positive,
        default=8,
        metavar='N',
        help='maximum number of faces, the largest first; others are counted and left out '
        '(%(default)s)',
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a number of faces: expected 1 or more')
    return value


def load_for(options: argparse.Namespace) -> Analyzer:
    """Load what --model, --device and --max-faces ask for."""
    from headpose_ros.perception.analyze import load_analyzer
    from headpose_ros.perception.tracking import TrackingOptions

    tracking = TrackingOptions(max_faces=options.max_faces)
    return load_analyzer(options.model, options.device, tracking=tracking)


def add_overwrite_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --overwrite; without it nothing that exists is replaced."""
    parser.add_argument(
        '--overwrite', action='store_true', help=f'replace {what}; else that is an error'
    )


def _add_video(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'video',
        help='annotated video and a CSV table of all angles, without ROS',
        description='Writes OUT.mp4 and beside it OUT.csv. An interrupted run leaves both '
        'readable. Damaged frames are skipped and counted.',
    )
    parser.add_argument(
        'source', metavar='IN', help='video, folder of images, device, or image with --duration'
    )
    parser.add_argument('out', metavar='OUT.mp4', type=Path)
    add_model_options(parser, DEFAULT_MODEL, 'auto')
    add_faces_option(parser)
    add_style_option(parser)
    add_overwrite_option(parser, 'OUT.mp4 and OUT.csv that exist')
    parser.add_argument('--landmarks', action='store_true', help='landmarks in the table too')
    parser.add_argument('--duration', type=float, default=0.0, help='seconds; 0 for all')
    parser.add_argument(
        '--calibration',
        type=Path,
        help='file of camera_info_manager: positions in metres, lens distortion taken out',
    )
    parser.set_defaults(command=_video)


def _video(options: argparse.Namespace, _: list[str]) -> int:
    if options.calibration:
        # First: from PyPI it starts Python anew, to set the library path.
        import rclpy  # noqa: F401
    with needed_by('headpose video'):
        from headpose_ros.tools.video import VideoOptions, annotate, table_path
    chosen = VideoOptions(
        options.source,
        options.out,
        options.landmarks,
        options.style,
        options.duration,
        options.calibration,
        overwrite=options.overwrite,
    )
    summary = annotate(load_for(options), chosen)
    rate = summary.frames / max(summary.seconds, 1e-9)
    print(
        f'{"interrupted: " if summary.interrupted else ""}{summary.frames} frames with '
        f'{summary.faces} faces, {summary.skipped} damaged frames skipped, {rate:.1f} frames/s: '
        f'{options.out}, {table_path(options.out)}'
    )
    _report_crowd(summary.left_out)
    return _INTERRUPTED if summary.interrupted else 0


def _report_crowd(frames: int) -> None:
    if frames:
        print(
            f'headpose: {frames} frames have more faces than --max-faces: raise it',
            file=sys.stderr,
        )


def _add_plot(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'plot',
        help='angles over time as PNG, or a driver: signals, events, PERCLOS',
        description='Draws the table of headpose video, or the driver of a recorded bag.',
    )
    parser.add_argument(
        'source',
        type=Path,
        metavar='OUT',
        help='OUT.csv, or the OUT.mp4 beside it; or a bag (folder, .mcap, .db3) with driver_state',
    )
    parser.add_argument('picture', type=Path, nargs='?', help='PNG to write (OUT.png)')
    parser.add_argument('--namespace', default='', help='of the driver, where a bag has several')
    add_overwrite_option(parser, 'a picture that exists')
    parser.set_defaults(command=_plot)


def _plot(options: argparse.Namespace, _: list[str]) -> int:
    picture = options.picture or options.source.with_suffix('.png')
    check_new(picture, options.overwrite)
    if options.source.is_dir() or options.source.suffix.lower() in ('.mcap', '.db3'):
        _plot_bag(options, picture)
    else:
        with needed_by('headpose plot'):
            from headpose_ros.tools.plot import plot
        plot(options.source, picture, options.overwrite)
    print(picture)
    return 0


def _plot_bag(options: argparse.Namespace, picture: Path) -> None:
    # rclpy first: from PyPI it starts Python anew, to set the library path.
    import rclpy  # noqa: F401

    with needed_by('headpose plot'):
        from headpose_ros.tools.drive import read_drive
        from headpose_ros.tools.plot_drive import plot_drive
    drive = read_drive(options.source, options.namespace)
    plot_drive(drive, picture, options.source.name, overwrite=options.overwrite)


def _add_bag(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'bag',
        help='copy a ROS 2 bag and add faces, head_pose, markers and face frames',
        description='Analyses every image of a bag (MCAP or SQLite), raw or compressed, and writes '
        'a copy with the topics of the pose node. No node runs. The same bag gives the same copy. '
        'An interrupted run or a full disk leaves a readable copy of the beginning.',
    )
    parser.add_argument('source', metavar='IN', type=Path, help='bag folder, .mcap or .db3 file')
    parser.add_argument('out', metavar='OUT', type=Path, help='bag folder to write')
    add_model_options(parser, DEFAULT_MODEL, 'auto')
    add_faces_option(parser)
    parser.add_argument('--image', default='', help='topic of the images; needed where several are')
    parser.add_argument(
        '--camera-info', default='', help='topic of the calibration; default: beside the images'
    )
    parser.add_argument(
        '--rectified',
        choices=('auto', 'true', 'false'),
        default='auto',
        help='whether the images are rectified: P of the calibration counts then, not K and D; '
        'auto: by the name of their topic',
    )
    parser.add_argument('--namespace', default='', help='namespace of the topics that are added')
    add_overwrite_option(parser, 'a bag OUT that exists')
    parser.set_defaults(command=_bag)


def _bag(options: argparse.Namespace, _: list[str]) -> int:
    # rclpy first: from PyPI it starts Python anew, to set the library path.
    import rclpy  # noqa: F401

    with needed_by('headpose bag'):
        from headpose_ros.tools.bag import BagOptions, annotate_bag
    chosen = BagOptions(
        options.source,
        options.out,
        options.image,
        options.camera_info,
        options.namespace,
        overwrite=options.overwrite,
        rectified=options.rectified,
    )
    summary = annotate_bag(load_for(options), chosen)
    speed = summary.recorded / max(summary.seconds, 1e-9)
    print(
        f'{"interrupted: " if summary.interrupted else ""}{summary.images} images with '
        f'{summary.faces} faces, {speed:.1f} times as fast as recorded: {options.out}'
    )
    _report_crowd(summary.left_out_faces)
    if summary.refused:
        print(f'{summary.refused} images left out, the first: {summary.problem}', file=sys.stderr)
    for remark in summary.remarks:
        print(remark, file=sys.stderr)
    if summary.left_out:
        print(
            'not copied, as their types have no readable definition: '
            f'{", ".join(summary.left_out)}',
            file=sys.stderr,
        )
    return _INTERRUPTED if summary.interrupted else 0


def _add_stream(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'stream',
        help='send a head to an avatar (VMC over OSC) or to opentrack, without ROS',
        description='Sends the largest face of every frame over UDP. Nothing leaves this machine '
        'unless HOST is another one.',
        epilog='headpose stream /dev/video0 --osc 127.0.0.1:39539;  '
        'headpose stream /dev/video0 --opentrack 127.0.0.1:4242',
    )
    parser.add_argument(
        'source', metavar='IN', help='device, video, folder of images, or image with --duration'
    )
    add_model_options(parser, DEFAULT_MODEL, 'auto')
    add_faces_option(parser)
    parser.add_argument(
        '--osc', default='', metavar='HOST:PORT', help='bone Head, eyeBlink and jawOpen as VMC'
    )
    parser.add_argument(
        '--opentrack', default='', metavar='HOST:PORT', help="for opentrack's UDP input"
    )
    parser.add_argument('--duration', type=float, default=0.0, help='seconds; 0 for all')
    parser.add_argument(
        '--calibration', type=Path, help='file of camera_info_manager: positions for opentrack'
    )
    parser.set_defaults(command=_stream)


def _stream(options: argparse.Namespace, _: list[str]) -> int:
    if options.calibration:
        # First: from PyPI it starts Python anew, to set the library path.
        import rclpy  # noqa: F401
    with needed_by('headpose stream'):
        from headpose_ros.tools.stream import StreamOptions, stream
    chosen = StreamOptions(
        options.source, options.osc, options.opentrack, options.duration, options.calibration
    )
    summary = stream(load_for(options), chosen)
    print(
        f'{"interrupted: " if summary.interrupted else ""}{summary.frames} frames, '
        f'{summary.sent} with a face, {summary.lost} packets lost'
    )
    return _INTERRUPTED if summary.interrupted else 0


def _add_view(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'view',
        help='live page in the browser: image, angles, driver, rates, diagnostics',
        description='Serves a page with the images and results of the nodes of this ROS graph, and '
        'the reason where there are none. Needs no Internet. ROS arguments follow --ros-args.',
    )
    add_style_option(parser)
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on; 0.0.0.0 shows the camera to the network (%(default)s)',
    )
    parser.add_argument('--port', type=int, default=8642, help='(%(default)s)')
    parser.set_defaults(command=_view)


def _view(options: argparse.Namespace, ros_arguments: list[str]) -> int:
    # rclpy first: from PyPI it starts Python anew, to set the library path.
    import rclpy  # noqa: F401

    with needed_by('headpose view'):
        from headpose_ros.tools.view import view
    view(options.host, options.port, options.style, ros_arguments)
    return 0
