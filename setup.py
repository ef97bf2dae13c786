"""The pip route: let CMake build and stage the package, then ship what it staged.

A ROS 2 workspace never comes here: package.xml says ament_cmake, so colcon calls CMake itself.

Why a command of our own and not scikit-build-core's setuptools plugin: the plugin can only install
below site-packages, and ROS 2 looks for its index, messages and libraries in share/ and lib/ of the
prefix. Its other backend can do that, but ends up longer and leaves no setup.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
MIN_CMAKE = (3, 19)


def check_build_tools() -> None:
    """Stop with one clear line where CMake would stop with a page of its own."""
    if os.environ.get('AMENT_PREFIX_PATH'):
        sys.exit(
            'headpose_ros: a ROS 2 environment is sourced in this shell (AMENT_PREFIX_PATH is set) '
            "and cannot be mixed with PyPI's ROS wheels. Build with 'colcon build', or run pip in "
            'a shell in which no setup.bash was sourced.'
        )
    if shutil.which('cmake') is None:
        sys.exit('headpose_ros: no cmake on PATH. On Debian or Ubuntu: apt install cmake')
    words = subprocess.run(['cmake', '--version'], capture_output=True, text=True).stdout.split()
    version = tuple(int(part) for part in words[2].split('.')[:2]) if len(words) > 2 else (0, 0)
    if version < MIN_CMAKE:
        found, needed = ('.'.join(map(str, v)) for v in (version, MIN_CMAKE))
        sys.exit(
            f'headpose_ros: cmake {found} is too old, {needed} is needed. '
            'Install a newer one, for example: pip install cmake'
        )
    compiler = os.environ.get('CXX', 'c++').split()[0]
    if shutil.which(compiler) is None:
        sys.exit(
            f'headpose_ros: no C++ compiler ({compiler}) on PATH. '
            'On Debian or Ubuntu: apt install g++'
        )
    header = Path(sysconfig.get_path('include'), 'Python.h')
    if not header.is_file():
        sys.exit(
            f'headpose_ros: {header} is missing; the messages are compiled against it. '
            'On Debian or Ubuntu: apt install python3-dev'
        )


class CMakeBuild(build_ext):
    """Builds all of CMakeLists.txt in place of one extension module."""

    def run(self) -> None:
        """Configure, build and stage; modules go to build_lib, the rest becomes data files."""
        if self.editable_mode:
            sys.exit(
                'headpose_ros: an editable install is not possible, the message modules are '
                "generated. Use 'pip install .' and start Python in the source tree: the modules "
                'are then taken from here and the messages from the installation.'
            )
        check_build_tools()
        temp, lib = Path(self.build_temp).resolve(), Path(self.build_lib).resolve()
        # pip makes a new build environment each time: a cache of the last one would point to
        # files that are gone, and modules that were deleted since would be shipped again.
        shutil.rmtree(temp, ignore_errors=True)
        shutil.rmtree(lib, ignore_errors=True)

        stage = temp / 'stage'
        defines = {
            'BUILD_TESTING': 'OFF',
            'CMAKE_BUILD_TYPE': 'Release',
            'CMAKE_INSTALL_PREFIX': stage,
            'HEADPOSE_ROS_PYPI_WHEELS': 'ON',
            'PYTHON_INSTALL_DIR': 'python',
            'Python3_EXECUTABLE': sys.executable,
        }
        build = str(temp / 'cmake')
        configure = ['cmake', '-S', str(ROOT), '-B', build, '-G', 'Ninja']
        configure += [f'-D{name}={value}' for name, value in defines.items()]
        for command in (configure, ['cmake', '--build', build, '--target', 'install']):
            if subprocess.run(command).returncode != 0:
                sys.exit('headpose_ros: CMake failed, see its messages above.')

        # CMake writes egg-info folders that would pass for distributions of their own; the C
        # sources of the message modules are of no use once compiled.
        skip = shutil.ignore_patterns('*.c', '*.egg-info', '__pycache__')
        shutil.copytree(stage / 'python', lib, ignore=skip)
        folders: dict[str, list[str]] = {}
        for file in sorted(p for top in ('lib', 'share') for p in (stage / top).rglob('*')):
            if file.is_file():
                folder = str(file.parent.relative_to(stage))
                folders.setdefault(folder, []).append(os.path.relpath(file, ROOT))
        self.distribution.data_files = list(folders.items())


setup(
    ext_modules=[Extension('headpose_ros', sources=[])],  # makes the wheel a platform wheel
    cmdclass={'build_ext': CMakeBuild},
)
