"""Files that are made from the nodes' parameters: config/*.yaml and the tables in docs/nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headpose_ros.errors import HeadposeError
from headpose_ros.nodes.camera import CameraConfig
from headpose_ros.nodes.driver_parameters import DriverConfig
from headpose_ros.nodes.overlay import OverlayConfig
from headpose_ros.nodes.pose_parameters import PoseConfig
from headpose_ros.ros.node.parameter_listing import to_markdown, to_yaml

#: Node and its configuration, by the name of the params file in config.
CONFIGURATIONS: dict[str, tuple[str, type[Any]]] = {
    'camera': ('camera', CameraConfig),
    'pose': ('pose', PoseConfig),
    'overlay': ('overlay', OverlayConfig),
    'driver_monitoring': ('driver', DriverConfig),
}


def contents(root: Path) -> dict[Path, str]:
    """Return what the files in a checkout of this package should hold, by their paths.

    Raises:
        HeadposeError: A page is missing, or it has no place for its table.
    """
    found = {}
    for file, (node, config) in CONFIGURATIONS.items():
        # For any node: the one form that ros2 param load takes whatever the namespace is.
        found[root / 'config' / f'{file}.yaml'] = to_yaml(config)
        page = root / 'docs' / 'nodes' / f'{node}.md'
        found[page] = _with_table(page, node, to_markdown(config))
    return found


def write(root: Path) -> list[Path]:
    """Bring the files in a checkout up to date; return those that changed.

    Raises:
        HeadposeError: As for :func:`contents`.
    """
    changed = []
    for path, text in contents(root).items():
        if not path.is_file() or path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')
            changed.append(path)
    return changed


def _with_table(page: Path, node: str, table: str) -> str:
    """Return the text of a page with a table between its two markers."""
    start, end = f'<!-- parameters: {node} -->\n', '<!-- end of parameters -->'
    text = page.read_text(encoding='utf-8') if page.is_file() else ''
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise HeadposeError(f'{page}: expected the lines {start.strip()} and {end}')
    return f'{before}{start}\n{table}\n{end}{after}'
