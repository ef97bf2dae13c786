"""Stand-ins for launch, launch_ros and the package index: enough to execute our launch files."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


class Action:
    """Remembers what it was made of.

    Attributes:
        args: Positional arguments.
        kwargs: Arguments by name.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class DeclareLaunchArgument(Action):
    @property
    def name(self) -> str:
        return self.args[0]


class ExecuteLocal(Action):
    def __init__(self, *, respawn_max_retries: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class IncludeLaunchDescription(Action):
    pass


class LaunchDescription:
    def __init__(self, entities: list[Any]) -> None:
        self.entities = entities


class LogInfo(Action):
    pass


class Node(Action):
    pass


class OpaqueFunction(Action):
    pass


class PackageNotFoundError(KeyError):
    pass


class PythonLaunchDescriptionSource(Action):
    pass


class Shutdown(Action):
    pass


def modules(prefix: Any, packages: set[str]) -> dict[str, ModuleType]:
    """Return the modules by name.

    Args:
        prefix: Folder with the files of our package, as its share folder has them.
        packages: Names of the packages that are installed.
    """

    def get_package_prefix(name: str) -> str:
        if name not in packages:
            raise PackageNotFoundError(name)
        return '/usr'

    contents = {
        'launch': {'LaunchContext': SimpleNamespace, 'LaunchDescription': LaunchDescription},
        'launch.actions': {
            kind.__name__: kind
            for kind in (
                *(DeclareLaunchArgument, ExecuteLocal, IncludeLaunchDescription, LogInfo),
                *(OpaqueFunction, Shutdown),
            )
        },
        'launch.launch_description_sources': {
            'PythonLaunchDescriptionSource': PythonLaunchDescriptionSource
        },
        'launch_ros': {},
        'launch_ros.actions': {'Node': Node},
        'ament_index_python': {},
        'ament_index_python.packages': {
            'PackageNotFoundError': PackageNotFoundError,
            'get_package_prefix': get_package_prefix,
            'get_package_share_directory': lambda _: str(prefix),
        },
    }
    found = {name: ModuleType(name) for name in contents}
    for name, content in contents.items():
        vars(found[name]).update(content)
    return found
