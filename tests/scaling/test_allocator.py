"""Memory is kept while something is measured, and given back afterwards."""

from __future__ import annotations

import pytest
import torch

from scaling.allocator import kept_memory
from scaling.timers import page_faults

NUMBERS = 4 << 20  # 16 MiB of float32, far beyond what glibc keeps by itself
PAGES = 4 * NUMBERS // 4096  # of one such tensor


def faults_of(runs: int) -> int:
    before = page_faults()
    for _ in range(runs):
        torch.ones(NUMBERS)
    return page_faults() - before


def test_what_is_freed_is_used_again_without_a_fresh_page():
    with kept_memory() as kept:
        if not kept:
            pytest.skip("needs glibc")
        assert any(
            faults_of(10) < PAGES / 10 for _ in range(20)
        )  # where parts of the heap lie fresh, not at once


def test_afterwards_memory_is_given_back_again():
    with kept_memory() as kept:
        if not kept:
            pytest.skip("needs glibc")
        faults_of(1)
    assert faults_of(1) >= PAGES / 512  # where pages are huge, 512 of these are one
