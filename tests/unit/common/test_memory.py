"""Tests how much a process holds, and how much it may: as the kernel says."""

import os

import pytest

from loom_common.resilience import process_memory


def test_what_is_held_is_what_the_kernel_counts():
    held = process_memory.held()
    assert held % os.sysconf("SC_PAGE_SIZE") == 0
    assert 10 * 2**20 < held < 4 * 2**30


def test_what_is_held_grows_with_what_is_taken():
    before = process_memory.held()
    block = bytearray(os.urandom(2**20)) * 64
    assert process_memory.held() - before > 32 * 2**20
    assert block


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "536870912\n"}, 536870912),
        ({"memory.max": "max\n"}, None),
        ({"limit_in_bytes": "536870912\n"}, 536870912),
        ({"limit_in_bytes": "9223372036854771712\n"}, None),
        ({"memory.max": "max\n", "limit_in_bytes": "1024"}, 1024),
        ({}, None),
    ],
)
def test_the_limit_of_a_container(tmp_path, files, limit):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert process_memory.limit([tmp_path / "memory.max", tmp_path / "limit_in_bytes"]) == limit
