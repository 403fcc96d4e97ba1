"""Runs for the command line to work on: instant ones with made-up scores, and one real search."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.__main__ import run
from nas.cli.search import EXAMPLE
from nas.config import StudyConfig, load_config
from nas.driver import StopSign, drive
from nas.execution.in_process import InProcess
from nas.launch import create
from nas.proposal import Kind, Outcome, Proposal, Status

CONFIG = Path(__file__).parents[3] / "nas" / "examples" / EXAMPLE
Nas = Callable[..., tuple[int, str, str]]
Score = Callable[[Proposal], Outcome]


def scored(proposal: Proposal) -> Outcome:
    """A made-up outcome: accuracies follow from the key alone."""
    accuracy = 0.5 + int(proposal.key[:4], 16) / 2**17
    part = "test" if proposal.kind is Kind.FINAL else "validation"
    return Outcome(status=Status.DONE, metrics={f"{part}_accuracy": accuracy}, seconds=1.5)


def diverging(proposal: Proposal) -> Outcome:
    """Every third trial of the search diverges."""
    if proposal.kind is Kind.TRAIN and proposal.number % 3 == 2:
        return Outcome(status=Status.DIVERGED, note=f"train_loss is nan in trial {proposal.number}")
    return scored(proposal)


def config_of(*overrides: str) -> StudyConfig:
    return load_config(CONFIG, ["execution.workers=0", "trials=8", "epochs=2", *overrides])


def instant(
    results: Path, name: str, *overrides: str, score: Score = scored, most: int | None = None
) -> Path:
    """Make a run of trials that take no time; stopped after `most` of them, if given."""
    study, folder = create(config_of(*overrides), name=name, results=results)
    stop = StopSign(raised=most == 0)

    def watch(_what: str, _trial: object) -> None:
        stop.raised = most is not None and len(study.history.told) >= most

    with study.journal:
        drive(study, InProcess(lambda proposal, _: score(proposal)), watch=watch, stop=stop)
    return folder


@pytest.fixture
def nas(capsys: pytest.CaptureFixture[str]) -> Nas:
    """Return a function that runs a command line: exit code, standard output, standard error."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with finished, stopped and partly failed runs."""
    home = tmp_path_factory.mktemp("results")
    instant(home, "first")
    instant(home, "second", "seed=5", 'limits=["macs <= 600k"]')
    instant(home, "failing", score=diverging)
    instant(home, "stopped", most=3)
    return home


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return the results folder, standard output and error of one real search, trained in this process."""
    import contextlib
    import io

    home, out, err = tmp_path_factory.mktemp("real"), io.StringIO(), io.StringIO()
    tiny = [
        "data.limit=200",
        "execution.workers=0",
        "trials=2",
        "epochs=1",
        "final.epochs=1",
        "confirm.seeds=1",
    ]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["search", *tiny, "--results", str(home), "--name", "tiny", "--json"])
    assert code == 0, err.getvalue()
    return home, out.getvalue(), err.getvalue()


def document(text: str) -> dict[str, object]:
    """Read the one JSON document that standard output is."""
    found = json.loads(text)
    assert isinstance(found, dict)
    return found
