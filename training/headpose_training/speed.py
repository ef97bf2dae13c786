"""`headpose-train benchmark-fit`: crops a second of training; fast steps learn the same."""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from headpose_ros.files import check_new
from headpose_ros.models.registry import MODELS
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader

from headpose_training.data.augment import Augmentation
from headpose_training.data.drawn_faces import write_real_faces
from headpose_training.data.draws import Draws
from headpose_training.data.formats import read_faces
from headpose_training.data.module import Batch, FaceCrops
from headpose_training.fit import computes_bfloat16
from headpose_training.memory import keep_freed_memory
from headpose_training.systems.mnn_lite import MnnLiteSystem

_FACES = 200


@dataclass(frozen=True)
class Way:
    """One way to run a training step.

    Attributes:
        name: For the table.
        system: The system in that memory format.
        precision: Of the network's arithmetic.
    """

    name: str
    system: MnnLiteSystem
    precision: torch.dtype


def benchmark_fit(
    batch_size: int = 48,
    rounds: int = 5,
    threads: int = 0,
    curve: int = 30,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Time training steps of `mnn_lite` in turn, and their losses over the same batches.

    Times are processor time over the cores that are used, so that another program on the machine
    changes them little.

    Args:
        batch_size: Crops in a batch.
        rounds: Steps of every way that are timed; the least time counts.
        threads: Cores of the network; 0 is all.
        curve: Steps over which the losses of the ways are compared.
        out: Markdown file for the table; none prints it only.
        overwrite: Replace a table that exists; else that is an error.
    """
    if out is not None:
        check_new(out, overwrite)
    keep_freed_memory()
    torch.set_num_threads(threads or os.cpu_count() or 1)
    batches = _batches(batch_size)
    loader = _time_of_loader(batch_size)
    ways = _ways()
    losses = {way.name: _curve(way, batches, curve) for way in ways}
    times = {way.name: np.inf for way in ways}
    for _ in range(rounds):
        for way in ways:
            times[way.name] = min(times[way.name], _time_of_step(way, batches[0]))
    rows = [
        (way.name, 1e3 * times[way.name] / batch_size, losses[way.name] / losses[ways[0].name] - 1)
        for way in ways
    ]
    _report(rows, 1e3 * loader / batch_size, out)


def _ways() -> list[Way]:
    torch.manual_seed(0)
    first = MnnLiteSystem(steady_weight=2.0).train()
    plain, compiled = copy.deepcopy(first), copy.deepcopy(first)
    plain.network.to(memory_format=torch.contiguous_format)
    _without_channels_last(plain)
    compiled.compile_network()
    ways = [
        Way('plain PyTorch', plain, torch.float32),
        Way('channels last', first, torch.float32),
        Way('channels last, compiled', compiled, torch.float32),
    ]
    if computes_bfloat16():
        lower = copy.deepcopy(first)
        lower.compile_network()
        ways.append(Way('channels last, compiled, bfloat16', lower, torch.bfloat16))
    return ways


def _without_channels_last(system: MnnLiteSystem) -> None:
    network: nn.Module = system.network
    system.run = lambda images: network(images.contiguous())  # type: ignore[method-assign]


def _batches(batch_size: int) -> list[Batch]:
    with tempfile.TemporaryDirectory() as folder:
        loader = _loader(Path(folder), batch_size)
        return list(loader)


def _loader(folder: Path, batch_size: int) -> DataLoader[Batch]:
    faces = read_faces('real_faces', write_real_faces(folder, _FACES))
    crops = FaceCrops(faces, MODELS['mnn_lite'], augmentation=Augmentation(spoilt=0.1))
    draws = Draws(len(crops), 4 * batch_size)
    return DataLoader(crops, batch_size, sampler=draws, drop_last=True)


def _time_of_loader(batch_size: int) -> float:
    """Return the seconds of one core for a batch."""
    with tempfile.TemporaryDirectory() as folder:
        loader = _loader(Path(folder), batch_size)
        start = time.process_time()
        count = sum(1 for _ in loader)
        return (time.process_time() - start) / count


def _loss(way: Way, batch: Batch) -> torch.Tensor:
    lower = way.precision != torch.float32
    with torch.autocast('cpu', way.precision, enabled=lower):
        parts = way.system.losses(batch)
    return torch.stack(list(parts.values())).sum()


def _curve(way: Way, batches: list[Batch], steps: int) -> float:
    """Return the mean loss of the last third of some steps; the same noise for every way."""
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(way.system.parameters(), 1e-3)
    found = [_step(way, optimizer, batches[i % len(batches)]) for i in range(steps)]
    return float(np.mean(found[-(steps // 3) :]))


def _step(way: Way, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    loss = _loss(way, batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss)


def _time_of_step(way: Way, batch: Batch) -> float:
    """Return the seconds of a step, were all its cores always its own."""
    optimizer = torch.optim.AdamW(way.system.parameters(), 0.0)
    return _timed(lambda: _step(way, optimizer, batch)) / torch.get_num_threads()


def _timed(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _report(rows: list[tuple[str, float, float]], loader: float, out: Path | None) -> None:
    threads = torch.get_num_threads()
    header = ('', 'ms a crop', 'crops a second', 'times as fast', 'loss against the first')
    lines = [
        (name, f'{ms:.1f}', f'{1e3 / ms:.0f}', f'{rows[0][1] / ms:.2f}', f'{100 * loss:+.1f} %')
        for name, ms, loss in rows
    ]
    lines.append(('crops by one loader', f'{loader:.1f}', f'{1e3 / loader:.0f}', '', ''))
    capability = torch.backends.cpu.get_cpu_capability()
    title = f'mnn_lite, {threads} threads, {capability}, torch {torch.__version__}'
    table = Table(*header, title=title)
    for line in lines:
        table.add_row(*line)
    Console().print(table)
    if out is not None:
        body = [header, ('---',) * len(header), *lines]
        text = '\n'.join('| ' + ' | '.join(line) + ' |' for line in body)
        out.write_text(f'{title}\n\n{text}\n', encoding='utf-8')
