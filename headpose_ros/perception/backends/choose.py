"""Which backend runs the network: the fastest that works here, and another when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import Backend, BackendError
from headpose_ros.perception.backends.deployed import example
from headpose_ros.perception.backends.trial import check

_log = logging.getLogger(__name__)
_CPU = torch.device('cpu')

#: What may be asked for. `auto` tries those of `_AUTO` for its device in their order.
BACKENDS = ('auto', 'eager', 'compile', 'cudagraph', 'onnxruntime', 'tensorrt', 'openvino')
#: Fastest first, by docs/performance.md. torch.compile and TensorRT may take minutes to start, so
#: they are for those who ask.
_AUTO = {
    'cuda': ('cudagraph', 'eager'),
    'cpu': ('onnxruntime', 'openvino', 'eager'),
}
_CUDA_ONLY = ('cudagraph', 'tensorrt')
_CPU_ONLY = ('openvino',)


class Fallbacks:
    """Backends to try one after the other; the one that works is used until it fails.

    What can fail while a robot runs: the GPU's memory is taken by another process, the GPU is
    lost, a runtime stumbles. The frame that hit it is computed by the next backend.

    Args:
        model: The network with its weights.
        device: Where it shall run.
        backend: One of `BACKENDS`.

    Attributes:
        current: The backend in use; none while it rests.
        device: Where it runs.
        reason: Why that one, in a sentence.
        warn: Told about every fall-back; logs by default.

    Raises:
        BackendError: The name is unknown.
    """

    def __init__(self, model: LoadedModel, device: torch.device, backend: str = 'auto') -> None:
        if backend not in BACKENDS:
            raise BackendError(
                f'unknown backend {backend!r}: expected one of {", ".join(BACKENDS)}'
            )
        self.warn: Callable[[str], None] = _log.warning
        self._model = model
        self._wanted = device
        self._asked = backend
        self._resting = False
        self._start()

    def rest(self) -> None:
        """Give the memory of a GPU back; :meth:`wake` comes before the next run."""
        if self.device.type == 'cuda' and not self._resting:
            self._resting = True
            del self.current
            torch.cuda.empty_cache()

    def wake(self) -> None:
        """Take the memory again after :meth:`rest`.

        Raises:
            BackendError: No backend works any more.
        """
        if self._resting:
            self._start()

    def _start(self) -> None:
        self._resting = False
        self._left = iter(_candidates(self._wanted, self._asked))
        self._missing: list[str] = []
        self._take(self._next())

    def _take(self, backend: Backend) -> None:
        self.current, self.device = backend, backend.device
        self.reason = self._reason()

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`; a backend that fails is left for good."""
        while True:
            try:
                return self.current.run(crops)
            except Exception as error:  # each runtime has errors of its own
                if _is_last_resort(self.current.name, self.current.device):
                    raise
                failed = f'{self.current.name} on {self.current.device}: {_line(error)}'
            self._missing.append(failed)
            del self.current  # so that it holds no memory while the next one is made
            self._take(self._next())
            self.warn(f'the network fell back to {self.reason}')

    def _next(self) -> Backend:
        """Make the next backend that starts and runs."""
        for name, device in self._left:
            try:
                backend = make(self._model, device, name)
                check(backend.run(example(self._model.spec).numpy()), self._model.spec)
            except Exception as error:  # each runtime has errors of its own
                if _is_last_resort(name, device):
                    raise
                self._missing.append(f'{name} on {device}: {_line(error)}')
                continue
            return backend
        raise BackendError(f'no backend works: {"; ".join(self._missing)}')

    def _reason(self) -> str:
        chosen = f'{self.current.name} on {self.current.device} ({self.current.details})'
        if self._missing:
            return f'{chosen}, as these do not work: {"; ".join(self._missing)}'
        if self._asked == 'auto':
            return f'{chosen}, the fastest for {self.current.device.type} that starts quickly'
        return f'{chosen}, as asked'

    @property
    def degraded(self) -> bool:
        """Tell whether something that was asked for, or would be faster, does not work here."""
        return bool(self._missing)


def make(model: LoadedModel, device: torch.device, name: str) -> Backend:
    """Make one backend.

    Args:
        model: The network with its weights.
        device: Where it shall run.
        name: One of `BACKENDS` except `auto`.

    Raises:
        BackendError: It does not work here; the text says why.
    """
    wrong = (_CPU_ONLY, 'cpu') if device.type == 'cuda' else (_CUDA_ONLY, 'cuda')
    if name in wrong[0]:
        raise BackendError(f'{name} needs device {wrong[1]}, not {device}')
    # Imported when asked for: each costs a node's start something.
    if name in ('onnxruntime', 'tensorrt'):
        from headpose_ros.perception.backends.onnx_runtime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(model, device, name)
    if name == 'openvino':
        from headpose_ros.perception.backends.open_vino import OpenVinoBackend

        return OpenVinoBackend(model)
    if name == 'eager':
        from headpose_ros.perception.backends.eager import EagerBackend

        return EagerBackend(model, device)
    from headpose_ros.perception.backends.static import StaticBackend

    return StaticBackend(model, device, compiled=name == 'compile')


def _candidates(device: torch.device, backend: str) -> Iterator[tuple[str, torch.device]]:
    """Yield names and devices to try: what was asked for, then what always works."""
    names = list(_AUTO[device.type]) if backend == 'auto' else [backend, 'eager']
    yield from ((name, device) for name in dict.fromkeys(names))
    if device != _CPU:
        yield from ((name, _CPU) for name in _AUTO['cpu'])


def _is_last_resort(name: str, device: torch.device) -> bool:
    return name == 'eager' and device == _CPU


def _line(error: Exception) -> str:
    text = next(iter(str(error).strip().splitlines()), '')
    return text if isinstance(error, BackendError) else f'{type(error).__name__}: {text}'
