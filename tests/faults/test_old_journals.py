"""Fault test 17: runs that earlier releases recorded load, and ask next what they would have asked.

`tests/golden/journals_1` was recorded by release 0.1.0 on the digits, with one worker: `first`, whose worker was
killed in its second trial, was interrupted in its fourth and resumed with more trials; `second` and `third` are
forks of it in whose limits two members and none are found. One path in a note was shortened. A later format
gets a folder of its own; these stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from nas.__main__ import run
from nas.history import history_of
from nas.journal import JOURNAL, Event, Journal, read
from nas.launch import reopen
from nas.study import Study
from search_spaces.errors import BadInput, StorageError

GOLDEN = Path(__file__).parent.parent / "golden"
JOURNALS = sorted(GOLDEN.glob("journals_*/*.jsonl"))
AS_ASKED = ("number", "kind", "code", "key", "recipe", "epochs", "seed", "cost")


def folder_of(journal: Path, at: Path, *, events: int | None = None) -> Path:
    """Return a run's folder with a journal, or the beginning of it."""
    at.mkdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    (at / JOURNAL).write_bytes(b"".join(lines[:events]))
    return at


def every_event(journal: Path, at: Path) -> tuple[Event, ...]:
    return read(folder_of(journal, at))


def answered(events: tuple[Event, ...]) -> Iterator[tuple[int, Event]]:
    """Yield (events until then, the next proposal) for every moment at which nothing was in flight.

    Not where the search then gave up: a later release may find more within the same limits.
    """
    flying: set[object] = set()
    for position, event in enumerate(events[:-1]):
        number = event.payload.get("number")
        if event.type == "ask":
            flying.add(number)
        elif event.type == "tell":
            flying.discard(number)
            following = next((e for e in events[position + 1 :] if e.type in ("ask", "exhausted")), None)
            if following is not None and following.type == "ask" and not flying:
                yield position + 1, following


def asked_next(study: Study) -> Event:
    before = len(study.journal.events)
    assert study.ask() is not None
    return next(e for e in study.journal.events[before:] if e.type == "ask")


def test_the_assets_are_there_and_hold_every_event_of_their_time(tmp_path: Path) -> None:
    assert len(JOURNALS) >= 3
    types = {e.type for journal in JOURNALS for e in every_event(journal, tmp_path / journal.stem)}
    assert types >= {"header", "start", "ask", "report", "tell", "retry", "carry", "exhausted", "end"}


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda path: path.stem)
def test_an_old_journal_loads_and_is_shown(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = every_event(journal, tmp_path / "run")
    history = history_of(events)
    assert not history.untold
    tells = [e for e in events if e.type == "tell"]
    assert history.told == [e.payload["number"] for e in tells]
    for event in tells:
        outcome = history.trials[cast(int, event.payload["number"])].outcome
        assert outcome is not None
        assert (outcome.status, outcome.metrics) == (event.payload["status"], event.payload["metrics"])
    assert len(history.carried) == sum(e.type == "carry" for e in events)
    assert run(["status", "run", "--results", str(tmp_path)]) == 0
    assert "finished" in capsys.readouterr().out


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda path: path.stem)
def test_an_old_run_resumed_at_any_point_asks_next_what_it_asked_then(journal: Path, tmp_path: Path) -> None:
    for length, expected in answered(every_event(journal, tmp_path / "whole")):
        study, _ = reopen(folder_of(journal, tmp_path / str(length), events=length))
        event = asked_next(study)
        study.journal.close()
        assert [event.payload[name] for name in AS_ASKED] == [expected.payload[name] for name in AS_ASKED]


def test_an_old_run_with_a_trial_in_flight_asks_that_one_again(tmp_path: Path) -> None:
    journal = next(path for path in JOURNALS if path.stem == "first")
    events = every_event(journal, tmp_path / "whole")
    retry = next(e for e in events if e.type == "retry")
    study, _ = reopen(folder_of(journal, tmp_path / "run", events=retry.number + 1))
    question = study.ask()
    study.journal.close()
    assert question is not None
    assert (question[0].number, question[1]) == (retry.payload["number"], 1)


def test_an_event_of_a_kind_this_release_does_not_know_is_passed_over(tmp_path: Path) -> None:
    folder = folder_of(JOURNALS[0], tmp_path / "run")
    before = history_of(read(folder))
    with Journal.open(folder) as journal:
        journal.append("applause", {"number": 0})
    study, _ = reopen(folder)
    study.journal.close()
    assert study.history.told == before.told


def test_a_journal_of_a_newer_release_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nas import journal_lines

    folder = tmp_path / "run"
    folder.mkdir()
    newer = journal_lines.VERSION + 1
    line = journal_lines.encode(0, 1.0, "header", {"version": newer, "header": {}})
    (folder / JOURNAL).write_bytes(line)
    for command in ("status", "resume"):
        assert run([command, "run", "--results", str(tmp_path)]) == StorageError.exit_code
        said = capsys.readouterr().err
        assert f"got journal version {newer}, expected one of (1,)" in said
        assert "written by another release, use that one" in said
    assert (folder / JOURNAL).read_bytes() == line


def test_a_resume_with_another_search_is_refused_for_an_old_run_too(tmp_path: Path) -> None:
    folder = folder_of(JOURNALS[0], tmp_path / "run")
    with pytest.raises(BadInput, match="got another epochs: 6 in the run, 7 asked"):
        reopen(folder, ["epochs=7"])
