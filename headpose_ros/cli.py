"""The `headpose` command."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpose_ros.batch.command import add_batch
from headpose_ros.errors import HeadposeError
from headpose_ros.extras import needed_by
from headpose_ros.files import OutputError, check_new, make_folder, write_whole
from headpose_ros.models import DEFAULT_MODEL
from headpose_ros.terminal import accept_any_text, finish, report
from headpose_ros.tools.commands import (
    add_faces_option,
    add_model_options,
    add_overwrite_option,
    add_style_option,
    add_tools,
    load_for,
)

if TYPE_CHECKING:
    # Only for annotations: each command imports what it needs, so that --help stays quick.
    import numpy as np
    from numpy.typing import NDArray

    from headpose_ros.models.released import WeightsFile
    from headpose_ros.perception.faces import Face

FAMILIES = ('free', 'research')
_DEMO_SECONDS = 12.0
_DEMO_FOV = 1.0  # radians: the field of view that the demonstration's virtual camera is given


def main(args: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        Exit code: 0, or 2 after an error that was printed as one line.
    """
    accept_any_text()
    parser = _parser()
    options, ros_arguments = parser.parse_known_args(args)
    if ros_arguments and ros_arguments[0] != '--ros-args':
        parser.error(f'unknown arguments: {" ".join(ros_arguments)}')
    command: Callable[..., int] = options.command
    try:
        code = command(options, ros_arguments)
        finish()
        return code
    except (HeadposeError, OSError) as error:
        return report('headpose', error)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='headpose', description='Head poses and facial landmarks, with or without ROS 2.'
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for add in (_add_run, _add_image, _add_demo, _add_models, _add_params, _add_doctor):
        add(commands)
    add_tools(commands)
    add_batch(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'run',
        help='start the pose node, and a camera node for --source, in one process',
        description='Starts the nodes of pose.launch.py without the launch system. ROS arguments '
        'follow --ros-args.',
        epilog='headpose run --source /dev/video0;  headpose run --ros-args -r '
        'camera/image_raw:=/front/image_raw -p tracking.max_faces:=2',
    )
    add_model_options(parser, '', '')
    parser.add_argument('--source', default='', help='video, image, folder or device; empty: none')
    parser.add_argument('--params-file', type=Path, help='YAML with parameters of both nodes')
    parser.add_argument('--namespace', default='', help='namespace of both nodes')
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace, ros_arguments: list[str]) -> int:
    import yaml

    from headpose_ros.nodes.camera import CameraNode
    from headpose_ros.nodes.pose import PoseNode
    from headpose_ros.nodes.runner import run

    nodes: list[Callable[[], Any]] = [PoseNode, CameraNode] if options.source else [PoseNode]
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as chosen:
        # A second file and not `-p pose:network.model:=...`: that names no node in a namespace.
        yaml.safe_dump(_chosen_parameters(options), chosen)
        chosen.flush()
        files = [options.params_file, chosen.name]
        words = [word for file in files if file for word in ('--params-file', str(file))]
        if options.namespace:
            words += ['-r', f'__ns:=/{options.namespace.strip("/")}']
        words += ros_arguments[1:]
        return run(nodes, ['--ros-args', *words])


def _chosen_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the options set, as a params file; what they leave alone stays out."""
    pose = {'network.model': options.model, 'network.device': options.device}
    nodes = {'pose': pose, 'camera': {'source': options.source}}
    given = {
        node: {name: value for name, value in values.items() if value}
        for node, values in nodes.items()
    }
    return {f'/**/{node}': {'ros__parameters': values} for node, values in given.items() if values}


def _add_image(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser('image', help='analyse image files, without ROS')
    parser.add_argument('files', nargs='+', type=Path, metavar='FILE')
    add_model_options(parser, DEFAULT_MODEL, 'auto')
    add_faces_option(parser)
    parser.add_argument('--json', action='store_true', help='print one JSON object per file')
    parser.add_argument('--draw', type=Path, metavar='DIR', help='write annotated copies there')
    add_style_option(parser)
    add_overwrite_option(parser, 'annotated copies that exist')
    parser.set_defaults(command=_image)


def _image(options: argparse.Namespace, _: list[str]) -> int:
    from headpose_ros.sources.pictures import read_image
    from headpose_ros.sources.source import SourceError

    copies = _copies(options)
    analyze = load_for(options)
    code = 0
    for file, copy in zip(options.files, copies, strict=True):
        try:
            image = read_image(file)
        except SourceError as error:  # the other files are still worth an answer
            code = report('headpose', error)
            continue
        faces = analyze(image)
        if left_out := analyze.left_out():
            print(
                f'headpose: {file}: {left_out} more faces are left out; raise --max-faces',
                file=sys.stderr,
            )
        if options.json:
            print(json.dumps({'file': str(file), 'faces': [face.as_dict() for face in faces]}))
        else:
            _print_faces(file, faces)
        if copy is not None:
            _draw(copy, image, faces, options)
    return code


def _copies(options: argparse.Namespace) -> list[Path | None]:
    """Return where the annotated copy of each file goes; None for none."""
    if not options.draw:
        return [None] * len(options.files)
    copies = [options.draw / f'{file.stem}_faces.png' for file in options.files]
    for copy, file in zip(copies, options.files, strict=True):
        if copies.count(copy) > 1:
            raise OutputError(
                f'{file} and another file would both become {copy}: analyse them in two runs'
            )
        check_new(copy, options.overwrite)
    make_folder(options.draw)
    return copies


def _print_faces(file: Path, faces: list[Face]) -> None:
    from headpose_ros.tools.text_table import text_table

    rows = [['face', 'yaw °', 'pitch °', 'roll °', 'confidence', 'box px']]
    for face in [face.as_dict() for face in faces]:
        angles = [f'{face[f"{name}_deg"]:+.1f}' for name in ('yaw', 'pitch', 'roll')]
        box = ' '.join(f'{value:.0f}' for value in face['box'])
        rows.append([face['id'], *angles, f'{face["confidence"]:.2f}', box])
    print(file, text_table(rows), sep='\n')


def _draw(
    copy: Path, image: NDArray[np.uint8], faces: list[Face], options: argparse.Namespace
) -> None:
    import cv2

    from headpose_ros.perception.draw import draw_faces

    _, data = cv2.imencode('.png', draw_faces(image, faces, options.style))
    write_whole(copy, data.tobytes(), options.overwrite)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'demo',
        help='run both nodes over ROS topics; writes a video, a contact sheet, MCAP and figures',
        description='Runs camera and pose node over real ROS 2 topics and records them.',
    )
    add_model_options(parser, DEFAULT_MODEL, 'auto')
    parser.add_argument('--out', type=Path, default=Path('out'), help='folder (%(default)s)')
    add_overwrite_option(parser, 'what an earlier demonstration left in it')
    parser.add_argument(
        '--source',
        default='',
        help='video, image, folder or device; without one a photograph of an astronaut moves in '
        'front of a virtual camera',
    )
    parser.add_argument(
        '--duration', type=float, help='seconds; default: 12, or all of a video; 0: no limit'
    )
    parser.set_defaults(command=_demo)


def _demo(options: argparse.Namespace, _: list[str]) -> int:
    # rclpy first: from PyPI it starts Python anew, to set the library path.
    import rclpy  # noqa: F401

    with needed_by('the demonstration'):
        from headpose_ros.demo.session import DemoOptions, run_demo
    from headpose_ros.sources.open import ASTRONAUT

    source = options.source or ASTRONAUT
    duration = _demo_duration(source) if options.duration is None else options.duration
    fov = _DEMO_FOV if source == ASTRONAUT else 0.0
    run_demo(
        DemoOptions(
            options.out, source, duration, options.model, options.device, fov, options.overwrite
        )
    )
    return 0


def _demo_duration(source: str) -> float:
    """Return 0 for what ends by itself: a video or a folder; else some seconds."""
    from headpose_ros.sources.pictures import IMAGE_EXTENSIONS

    path = Path(source)
    is_video = path.is_file() and path.suffix.lower() not in IMAGE_EXTENSIONS
    return 0.0 if is_video or path.is_dir() else _DEMO_SECONDS


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'models',
        help='list, describe, verify and pick released weights',
        epilog='headpose models;  headpose models show mnn_lite_free;  headpose models verify;  '
        'headpose image --model "$(headpose models pick --family research)" face.jpg',
    )
    parser.set_defaults(command=_list_models)
    actions = parser.add_subparsers(metavar='ACTION')
    show = actions.add_parser('show', help='print the card: data, terms, commands, metrics')
    show.add_argument('model', metavar='MODEL')
    show.set_defaults(command=_show_model)
    verify = actions.add_parser(
        'verify',
        help='compare every file with the sha256 in its card, and both forms on the same crops',
    )
    verify.set_defaults(command=_verify_models)
    pick = actions.add_parser('pick', help='print the name of the most accurate weights')
    pick.add_argument('--family', choices=FAMILIES, default='free', help='terms of use (free)')
    pick.set_defaults(command=_pick_model)


def _list_models(options: argparse.Namespace, _: list[str]) -> int:
    from headpose_ros.models.registry import MODELS
    from headpose_ros.models.released import POSE_METRIC, find_weights, released
    from headpose_ros.tools.text_table import text_table

    rows = [['weights', 'family', 'px', 'MB', 'pose error', 'terms']]
    for name in released():
        card = find_weights(name).card
        size = str(MODELS[card['model']].input_size)
        error = f'{card["metrics"][POSE_METRIC]:.2f}'
        megabytes = f'{card["bytes"] / 1e6:.1f}'
        rows.append([name, card['family'], size, megabytes, error, card['license']])
    print(text_table(rows))
    print(f'default: {DEFAULT_MODEL}; pose error on photographs (AFW), degrees')
    return 0


def _show_model(options: argparse.Namespace, _: list[str]) -> int:
    import yaml

    from headpose_ros.models.released import find_weights

    print(yaml.safe_dump(find_weights(options.model).card, sort_keys=False, width=100), end='')
    return 0


def _verify_models(options: argparse.Namespace, _: list[str]) -> int:
    from headpose_ros.models.released import find_weights, released

    for name in released():
        weights = find_weights(name)
        print(f'{name}: good, sha256 {weights.sha256}')
        if weights.onnx is not None:
            print(f'  ONNX: good, sha256 {weights.card["onnx"]["sha256"]}; {_compared(weights)}')
    return 0


def _compared(weights: WeightsFile) -> str:
    """Return by how much both forms of weights differ, where both run."""
    from headpose_ros.perception.device import has_torch
    from headpose_ros.perception.verify import MOST_DEGREES, MOST_PX, difference

    if not has_torch():
        return 'not compared with the weights, as PyTorch is not installed'
    found = difference(weights)
    if not found.allowed:
        raise HeadposeError(
            f'{weights.onnx}: {found}, expected at most {MOST_DEGREES} degrees and {MOST_PX} px; '
            'export both again'
        )
    return str(found)


def _pick_model(options: argparse.Namespace, _: list[str]) -> int:
    from headpose_ros.models.released import pick

    print(pick(options.family))
    return 0


def _add_params(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser('params', help='print the parameters of the nodes as YAML')
    parser.add_argument('--markdown', action='store_true', help='print tables instead')
    parser.add_argument(
        '--file',
        default='all',
        choices=('all', 'camera', 'pose', 'overlay', 'driver_monitoring'),
        help='only those of config/FILE.yaml',
    )
    parser.add_argument(
        '--write',
        type=Path,
        metavar='FOLDER',
        help='bring config/*.yaml and the tables in docs/nodes up to date in this checkout',
    )
    parser.set_defaults(command=_params)


def _params(options: argparse.Namespace, _: list[str]) -> int:
    from headpose_ros.nodes.parameter_files import CONFIGURATIONS, write
    from headpose_ros.ros.node.parameter_listing import to_markdown, to_yaml

    if options.write:
        for path in write(options.write):
            print(path)
        return 0
    for file, (node, config) in CONFIGURATIONS.items():
        if options.file not in (file, 'all'):
            continue
        if options.markdown:
            print(f'## {node} node\n\n{to_markdown(config)}')
        elif options.file == 'all':
            print(to_yaml(config, f'/**/{node}'))
        else:
            # For any node: the one form that ros2 param load takes whatever the namespace is.
            print(to_yaml(config), end='')
    return 0


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        'doctor',
        help='examine the running graph: why is nothing published, and what to do',
        description='Exit code: 0 when all is well, 1 after a warning or an error. '
        'docs/troubleshooting.md explains every message.',
    )
    parser.add_argument(
        '--seconds', type=float, default=3.0, help='how long to collect messages (%(default)s)'
    )
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace, ros_arguments: list[str]) -> int:
    import rclpy

    from headpose_ros.tools.doctor import examine

    # Examining the graph leaves no log in the home folder.
    rclpy.init(args=[*ros_arguments, '--ros-args', '--disable-external-lib-logs'])
    try:
        report = examine(options.seconds)
    finally:
        rclpy.try_shutdown()
    for line in report.lines:
        print(f'{line.level:>5}  {line.text}')
    for name, values in report.values.items():
        print(f'\n{name}')
        for key, value in values.items():
            print(f'  {key}: {value}')
    return 0 if report.healthy else 1


if __name__ == '__main__':
    sys.exit(main())
