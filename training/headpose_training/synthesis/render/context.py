"""An OpenGL context without a display."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import moderngl

from headpose_training.errors import TrainingError

_SHADERS = Path(__file__).with_name('shaders')


def make_context(device: int | None = None) -> moderngl.Context:
    """Return a context over EGL: of a graphics card, or of Mesa's software rasteriser.

    Args:
        device: Which of EGL's devices; None for its default.

    Raises:
        TrainingError: There is no EGL.
    """
    # torch loads Triton late, and the process dies if Mesa's LLVM is there before Triton's own.
    with suppress(ImportError):
        import_module('triton')
    # Workers share the cores among them: a rasteriser's own threads would only get in the way.
    os.environ.setdefault('LP_NUM_THREADS', '0')
    options: dict[str, Any] = {'backend': 'egl'}
    if device is not None:
        options['device_index'] = device
    try:
        context = moderngl.create_standalone_context(require=330, **options)
    except Exception as error:  # whatever the library that is not there makes of it
        raise TrainingError(
            f'rendering needs OpenGL 3.3 over EGL and found none ({error}): install the Debian '
            'packages libegl1 and libgl1-mesa-dri, or the driver of the graphics card'
        ) from error
    # Buffers go when `Context.gc` is called, with this context current, and not another one's.
    context.gc_mode = 'context_gc'
    return context


@dataclass(frozen=True)
class Shader:
    """A program with its members by name: to ask the program for one takes a search.

    Attributes:
        program: Of OpenGL.
        uniforms: That it reads.
        attributes: Names of those of its vertices that it reads.
    """

    program: moderngl.Program
    uniforms: dict[str, moderngl.Uniform]
    attributes: frozenset[str]


def compiled(context: moderngl.Context, vertex: str, fragment: str, *parts: str) -> Shader:
    """Compile a program of shader files.

    Args:
        context: The context.
        vertex: Name of the vertex shader's file, without suffix.
        fragment: Name of the fragment shader's file, without suffix.
        parts: Names of files that both shaders use.
    """
    shared = '\n'.join(_source(f'{part}.glsl') for part in parts)
    program = context.program(
        vertex_shader=f'#version 330\n{shared}\n{_source(f"{vertex}.vert")}',
        fragment_shader=f'#version 330\n{shared}\n{_source(f"{fragment}.frag")}',
    )
    members = {name: program[name] for name in program}
    return Shader(
        program,
        {name: item for name, item in members.items() if isinstance(item, moderngl.Uniform)},
        frozenset(n for n, item in members.items() if isinstance(item, moderngl.Attribute)),
    )


@lru_cache(maxsize=32)
def _source(name: str) -> str:
    return (_SHADERS / name).read_text()
