"""Which backend runs the network: the fastest that works here, and another when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.extras import how_to_get
from headpose_ros.models.registry import ModelSpec, WeightsError
from headpose_ros.models.released import WeightsFile, check_weights
from headpose_ros.perception.backends.base import Backend, BackendError, Model
from headpose_ros.perception.backends.onnx_runtime import OnnxRuntimeBackend, of_file
from headpose_ros.perception.backends.trial import check, example
from headpose_ros.perception.device import CPU, Device

if TYPE_CHECKING:
    from headpose_ros.models.weights import LoadedModel

_log = logging.getLogger(__name__)

#: What may be asked for; `auto` is the first of `_AUTO` that works.
BACKENDS = ('auto', 'onnxruntime', 'torch')
_AUTO = {'cuda': ('torch',), 'cpu': ('onnxruntime', 'torch')}


class Fallbacks:
    """Backends to try one after the other; the one that works is used until it fails.

    What can fail while a robot runs: the GPU's memory is taken by another process, the GPU is
    lost, a runtime stumbles. The frame that hit it is computed by the next backend.

    Args:
        model: The network with its weights.
        device: Where it shall run.
        backend: One of `BACKENDS`.

    Attributes:
        spec: How the network is fed.
        device: Where it runs.
        reason: Why that one, in a sentence.
        warn: Receives a sentence at every fall-back; logs by default.

    Raises:
        BackendError: The name is unknown, or nothing can run the network here.
        WeightsError: The weights are damaged, or of another network.
    """

    spec: ModelSpec
    device: Device
    reason: str

    def __init__(self, model: Model, device: Device, backend: str = 'auto') -> None:
        if backend not in BACKENDS:
            raise BackendError(
                f'unknown backend {backend!r}: expected one of {", ".join(BACKENDS)}'
            )
        self.warn: Callable[[str], None] = _log.warning
        self._model = model if _has_onnx(model) else _in_torch(model)
        self._wanted = device
        self._asked = backend
        self._current: Backend | None = None
        self._start()

    @property
    def current(self) -> Backend:
        """Return the backend in use.

        Raises:
            BackendError: None works any more, or it rests.
        """
        if self._current is None:
            raise BackendError(f'no backend runs: {"; ".join(self._missing) or "it rests"}')
        return self._current

    def rest(self) -> None:
        """Give the memory of a GPU back; :meth:`wake` comes before the next run."""
        if self.device.type == 'cuda' and self._current is not None:
            self._current = None
            _free_gpu()

    def wake(self) -> None:
        """Take the memory again after :meth:`rest`.

        Raises:
            BackendError: No backend works any more.
        """
        if self._current is None:
            self._start()

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`; a backend that fails is left for good."""
        while True:
            try:
                return self.current.run(crops)
            except Exception as error:  # each runtime has errors of its own
                if self._current is None or not self._left:
                    raise
                self._fall_back(error)

    def _start(self) -> None:
        self._missing: list[str] = []
        self._left = list(_candidates(self._wanted, self._asked))
        self._take_next()

    def _fall_back(self, error: Exception) -> None:
        """Replace the backend that failed; where nothing can, keep it unless it fills a GPU."""
        failed = self.current
        self._missing.append(f'{failed.name} on {failed.device}: {_line(error)}')
        if failed.device.type == 'cuda':
            self._current = None  # so that it holds no memory while the next one is made
        try:
            self._take_next()
        except BackendError:
            raise error from None
        self.warn(f'the network fell back to {self.reason}')

    def _take_next(self) -> None:
        """Take the next backend that starts and runs."""
        problem: Exception | None = None
        while self._left:
            name, device = self._left.pop(0)
            try:
                backend = make(self._model, device, name)
                check(backend.run(example(backend.spec)), backend.spec)
            except Exception as error:  # each runtime has errors of its own
                problem = error
                self._missing.append(f'{name} on {device}: {_line(error)}')
                continue
            self._current, self.spec, self.device = backend, backend.spec, backend.device
            self.reason = self._reason(backend)
            return
        if isinstance(problem, WeightsError):
            raise problem
        raise BackendError(f'no backend works: {"; ".join(self._missing)}') from problem

    def _reason(self, backend: Backend) -> str:
        chosen = f'{backend.name} on {backend.device} ({backend.details})'
        if self._missing:
            return f'{chosen}, as these do not work: {"; ".join(self._missing)}'
        if self._asked == 'auto':
            return f'{chosen}, the fastest for {backend.device.type}'
        return f'{chosen}, as asked'

    @property
    def degraded(self) -> bool:
        """Return whether something that was asked for, or would be faster, does not work here."""
        return bool(self._missing)


def make(model: Model, device: Device, name: str) -> Backend:
    """Make one backend.

    Args:
        model: The network with its weights.
        device: Where it shall run.
        name: One of `BACKENDS` except `auto`.

    Raises:
        BackendError: It does not work here; the message has the reason.
        WeightsError: The weights are damaged, or of another network.
    """
    if name == 'torch':
        loaded = _in_torch(model)
        from headpose_ros.perception.backends.pytorch import TorchBackend

        return TorchBackend(loaded, device)
    if device != CPU:
        raise BackendError(f'{name} runs on the CPU, not on {device}')
    if isinstance(model, WeightsFile) and model.onnx is not None:
        return of_file(model, model.onnx)
    loaded = _in_torch(model)
    from headpose_ros.perception.backends.exported import exported

    return OnnxRuntimeBackend(exported(loaded), loaded.spec.name)


def _has_onnx(model: Model) -> bool:
    return isinstance(model, WeightsFile) and model.onnx is not None


def _in_torch(model: Model) -> LoadedModel:
    """Return the network in PyTorch.

    Raises:
        BackendError: PyTorch or another package is missing; the message has the remedy.
        WeightsError: The weights are damaged, or of another network.
    """
    if isinstance(model, WeightsFile) and not model.released:
        check_weights(model.path)  # a damaged file must not cost 500 MB of PyTorch
    try:
        from headpose_ros.models.weights import load_model

        return load_model(str(model.path)) if isinstance(model, WeightsFile) else model
    except ModuleNotFoundError as error:
        module = error.name or str(error)
        text = f'the package {module} is missing ({how_to_get(module)})'
        if not _has_onnx(model):
            text = f'weights without an .onnx file beside them need PyTorch: {text}'
        raise BackendError(text) from error


def _candidates(device: Device, backend: str) -> Iterator[tuple[str, Device]]:
    """Yield names and devices to try: what was asked for, then what else there is."""
    names = list(_AUTO[device.type]) if backend == 'auto' else [backend, 'torch']
    tried = [(name, device) for name in names] + [(name, CPU) for name in _AUTO['cpu']]
    yield from dict.fromkeys(tried)


def _free_gpu() -> None:
    import torch

    torch.cuda.empty_cache()


def _line(error: Exception) -> str:
    text = next(iter(str(error).strip().splitlines()), '')
    return text if isinstance(error, HeadposeError) else f'{type(error).__name__}: {text}'
