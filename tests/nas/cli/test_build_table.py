"""`nas latency --build-table`: what it writes, its JSON, what people read, and its exit codes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from conftest import document

sys.path.insert(0, str(Path(__file__).parents[2] / "scaling"))
from simulated_device import measuring
from simulated_machine import Machine

import scaling.latency_table_build
from scaling.latency_table import load_table
from scaling.timing import Latency
from search_spaces import Network

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
SMALL = ("--build-table", "mixed", "--networks", "30", "--held-out", "10")


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Time on a made-up machine, in a folder of its own."""
    machine = Machine(0, jitter=0.01)

    def measure(models: Iterable[tuple[str, Network]], *, settings: object) -> Iterator[Latency]:
        return measuring(machine)(models)

    monkeypatch.setattr(scaling.latency_table_build, "measure_in_groups", measure)
    monkeypatch.chdir(tmp_path)
    return machine


def test_a_table_is_written_and_said_to_be_as_good_as_it_is(nas, tmp_path):
    code, out, err = nas("latency", *SMALL)
    assert code == 0
    table = load_table(tmp_path / "mixed.latency.json")
    row = next(line for line in out.splitlines() if line.startswith("the table"))
    assert f"{100 * table.errors.table.mape:.1f} %" in row
    assert f"{table.errors.table.tau:.3f}" in row
    for part in (
        "MACs and activations",
        "measuring again",
        "30 networks",
        "mixed.latency.json",
        "next: latency:",
    ):
        assert part in out
    assert "timed 25 of 50" in err


def test_the_documented_json_has_the_keys_that_are_printed(nas, tmp_path):
    code, out, _ = nas("latency", *SMALL, "--out", tmp_path / "deep" / "mine.json", "--json")
    assert code == 0
    said = document(out)
    section = DOCS.read_text().partition("### `nas latency --build-table SPACE --json`")[2]
    example = json.loads(re.findall(r"```json\n(.*?)```", section, re.DOTALL)[0])
    assert set(example) == set(said)
    assert set(example["errors"]) == set(said["errors"])
    assert set(example["held_out"][0]) == set(said["held_out"][0])
    assert len(said["held_out"]) == said["errors"]["held_out"] == 10
    assert load_table(tmp_path / "deep" / "mine.json").errors.table.mape == said["errors"]["table"]["mape"]


def test_a_table_of_timings_that_cannot_be_believed_leaves_with_the_exit_code_of_unstable_ones(nas, made_up):
    made_up.share = 0.5
    code, out, _ = nas("latency", *SMALL, "--json")
    assert (code, document(out)["stable"]) == (1, False)
    code, out, _ = nas("latency", *SMALL)
    assert code == 1
    assert "50 of 50 timings; stop other programs and build it again" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "got no MODEL, expected one or more, or --build-table SPACE"),
        (["lenet5", "--networks", "30"], "--networks: it says how a table is built"),
        (["lenet5", "--build-table", "mixed"], "--build-table mixed: got lenet5 too"),
        (["--build-table", "mixd"], "did you mean 'mixed'"),
        (["--build-table", "mixed", "--held-out", "0"], "held-out: got 0, expected 10 or more"),
        (["--build-table", "mixed", "--networks", "2"], "networks: got 2, expected 20 or more"),
        (["--build-table", "mixed", "--seconds", "0"], "seconds: got 0.0"),
        (["--build-table", "mixed", "--dtype", "float23"], "did you mean 'float32'"),
    ],
)
def test_bad_input_is_one_message(nas, arguments, says):
    code, out, err = nas("latency", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
