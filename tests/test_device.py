"""What a process is set to before it trains."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from helpers.experiment.device import keep_freed_memory
if {keep}:
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):  # as much at once as a step has, all of it freed after the step
    blocks = [torch.ones(3 * 2**20) for _ in range(6)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's malloc")
def test_freed_memory_is_taken_again_and_not_cleared_by_the_system_each_time():
    # As Dask sets it for its workers; without it glibc gives back now more, now less.
    env = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    given_back, kept = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS.format(keep=keep)], env=env))
        for keep in (False, True)
    )
    assert kept < given_back / 5, (kept, given_back)
