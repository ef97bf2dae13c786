"""ONNX files of other people's making: looked through and tried apart before they are run here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from headpose_ros.confined import ConfinedError, run_confined
from headpose_ros.errors import HeadposeError
from headpose_ros.models.onnx_check import check_onnx
from headpose_ros.models.safetensors_check import WeightsFileError

#: Seconds of a core for one picture; a node whose network takes 4 s has stalled.
_SLOWEST = 2.0
_T = TypeVar('_T')


class ForeignOnnxError(HeadposeError):
    """An ONNX file that is not run; the message is the reason, without the path."""


def vet_onnx(content: bytes, trial: Callable[[bytes], None]) -> None:
    """Try an ONNX file where it can do no harm.

    It takes a second, most of it the start of a process.

    Args:
        content: The file.
        trial: Opens and runs it once, see `confined.run_confined`.

    Raises:
        ForeignOnnxError: It is damaged, hostile, or does not work.
    """
    try:
        check_onnx(content)
        run_confined(trial, content)
    except (WeightsFileError, ConfinedError) as error:
        raise ForeignOnnxError(str(error)) from error


def in_time(run: Callable[[], _T]) -> _T:
    """Return the answer to one picture.

    Raises:
        ForeignOnnxError: It takes too long.
    """
    start = time.process_time()
    answer = run()
    taken = time.process_time() - start
    if taken > _SLOWEST:
        raise ForeignOnnxError(
            f'takes {taken:.1f} s of a core for one picture: expected at most {_SLOWEST:g} s'
        )
    return answer
