"""The commands that docs/cluster.md shows are commands, down to each option."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from nas.cli.app import command

TEXT = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text(encoding="utf-8")
FENCES = [fence.strip().splitlines() for fence in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)]
LINES = [re.split(r" {3,}| > ", line)[0] for fence in FENCES for line in fence]


def parsed(group: click.Group | None, words: Sequence[str]) -> dict[str, object]:
    name, *rest = words
    one = command(name) if group is None else group.commands[name]
    return one.make_context(name, list(rest)).params


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("nas ")])
def test_a_command_of_ours_can_be_given(line):
    parsed(None, shlex.split(line)[1:])


def test_six_commands_lead_from_nothing_to_a_running_search():
    assert len(FENCES[0]) == 6
    assert LINES[5].startswith("nas search mine.yaml --cluster auto")
    assert "RAY_AUTH_MODE=token ray start --head" in LINES[2]


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_a_command_of_rays_can_be_given():
    cli = pytest.importorskip("ray.scripts.scripts").cli
    given = [shlex.split(line.removeprefix("RAY_AUTH_MODE=token ")) for line in LINES if "ray " in line[:25]]
    given += [shlex.split(text) for text in re.findall(r"`(ray start [^`]*\d)`", TEXT)]
    assert len(given) >= 4
    for words in given:
        assert parsed(cli, words[1:]) is not None
