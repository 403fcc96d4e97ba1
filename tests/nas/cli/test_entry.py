"""The entry: help is quick and light, and each way to fail has its exit code and one message."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import nas.__main__ as entry
from nas.cli.app import COMMANDS
from search_spaces.errors import BadInput, ClusterError, Infeasible, StorageError

HEAVY = {"torch", "pandas", "numpy", "sklearn", "matplotlib", "ray", "optuna"}
LOADED = f"print(sorted(set(sys.modules) & {HEAVY!r}))"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_help_and_all_command_files_load_nothing_heavy():
    files = ", ".join(f"nas.cli.{name}" for name in COMMANDS)
    out = python(f"import sys; from nas.__main__ import run; run(['--help']); import {files}; {LOADED}")
    assert out.endswith("[]\n")
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, nas):
    code, out, _ = nas(name, "--help")
    assert code == 0
    assert f"\n nas {name}" in out
    assert "--json" in out


def test_without_a_command_there_is_help(nas):
    code, out, _ = nas()
    assert code == 0
    assert "Usage: nas" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serach"], "'search'"),
        (["search", "--nmae", "x"], "--name"),
        (["status"], "'RUN'"),
        (["space", "mixed", "--samples", "none"], "--samples"),
        (["search", "--name"], "--name"),
    ],
)
def test_a_usage_error_is_one_message_with_what_was_meant(arguments, says, nas):
    code, out, err = nas(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("nas: ")
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("what to do"), 2),
        (Infeasible("what to do"), 3),
        (StorageError("what to do"), 4),
        (ClusterError("what to do"), 5),
        (ValueError("two\nlines"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code_and_no_traceback(error, code, nas, monkeypatch):
    monkeypatch.setattr(entry, "app", lambda: _Raising(error))
    got, out, err = nas("anything")
    assert (got, out) == (code, "")
    assert "Traceback" not in err
    assert len(err.splitlines()) == (0 if code == 130 else 1)


def test_debug_shows_the_traceback(nas, monkeypatch):
    monkeypatch.setattr(entry, "app", lambda: _Raising(ValueError("here")))
    code, _, err = nas("anything", "--debug")
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("nas: ValueError: here")


@pytest.mark.parametrize(
    "arguments", [["space", "mixed"], ["space", "mixed", "--json"], ["profile", "lenet5"]]
)
def test_an_output_closed_early_is_no_fault(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "nas", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


class _Raising:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def main(self, *_arguments: object, **_settings: object) -> None:
        raise self.error
