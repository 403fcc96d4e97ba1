"""`--cluster` with an address that is not to be joined: one message, exit code 5, and no run left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.execution.token import MODE, TOKEN

ELSEWHERE = "203.0.113.7"  # of a network that is for documentation alone: nobody is there


@pytest.mark.parametrize(("mode", "says"), [(None, "there is no token here"), ("disabled", "RAY_AUTH_MODE")])
def test_another_machine_is_not_joined_without_a_token(tmp_path: Path, mode: str | None, says: str) -> None:
    env = {name: value for name, value in os.environ.items() if name not in (MODE, TOKEN)}
    env |= {"HOME": str(tmp_path)} | ({} if mode is None else {MODE: mode})
    results = tmp_path / "results"
    words = ["-m", "nas", "search", "trials=1", "--cluster", ELSEWHERE, "--results", str(results)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert says in done.stderr
    assert "ray get-auth-token --generate" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not results.exists()
