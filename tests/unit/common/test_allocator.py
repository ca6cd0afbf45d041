"""Tests that a process of Loom holds no memory that it freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
from loom_common.resilience.process_memory import held
from loom_common.service import entry

entry.begin()
passing = b"-" * (4 * 2**20)
del passing
blocks = [b"-" * (2**20 if at % 2 else 2**16) for at in range(200)]
before = held()
blocks = [each for each in blocks if len(each) == 2**16]
print((before - held()) / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")
@pytest.mark.parametrize(("environ", "returns"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "33554432"}, False)])
def test_large_blocks_are_returned_unless_the_environment_says_otherwise(environ, returns):
    done = subprocess.run([sys.executable, "-c", CODE], env=environ, capture_output=True, text=True, check=True)
    assert (float(done.stdout) > 90) is returns


ARROW = """
from loom_common.service import entry

entry.begin()
import pyarrow

print(pyarrow.default_memory_pool().backend_name)
"""


@pytest.mark.parametrize(
    ("environ", "named"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")]
)
def test_typed_columns_are_kept_by_the_same_allocator_unless_the_environment_names_one(environ, named):
    done = subprocess.run([sys.executable, "-c", ARROW], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == named
