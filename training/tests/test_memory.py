"""Whether memory that was freed is there for the next step."""

import platform
import subprocess
import sys

import pytest

_STEPS = """
import resource, sys
import torch
from headpose_training.memory import keep_freed_memory

if sys.argv[1] == 'keep':
    keep_freed_memory()
# As in a network: activations of many sizes, of which the last is freed first.
sizes = [3_000_000, 12_000_000, 6_000_000, 12_000_000, 1_000_000]
for step in range(16):
    if step == 8:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    activations = [torch.ones(size) for size in sizes]
    while activations:
        activations.pop()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep: str) -> int:
    command = [sys.executable, '-c', _STEPS, keep]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='mallopt is an interface of glibc')
def test_steps_reuse_the_memory_of_the_steps_before():
    assert page_faults('keep') < page_faults('free') / 10
