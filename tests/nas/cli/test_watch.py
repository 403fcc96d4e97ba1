"""What is shown while a run is driven: notices of the place where trials run, and life signs of long trials."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from conftest import config_of, scored
from rich.console import Console

from nas.cli.watch import SILENT_SECONDS, Lines, LiveTable
from nas.driver import StopSign, drive
from nas.execution.base import Happening, Notice
from nas.execution.in_process import InProcess
from nas.launch import create
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.spending import Capacity
from nas.study import Study

AWAY = Notice("no node of the cluster can take a trial now; waiting")
BACK = Notice("trials run again", over=True)


class Flaky(InProcess):
    """Says before its second trial that no node is there, and before its third that one is again."""

    def __init__(self) -> None:
        super().__init__(lambda proposal, _: scored(proposal))
        self._waits = 0

    def wait(self, seconds: float) -> Sequence[Happening]:  # type: ignore[override]
        self._waits += 1
        return {2: [AWAY], 4: [], 5: [BACK]}.get(self._waits) or (
            [] if self._waits == 4 else super().wait(seconds)
        )


def new_study(results: Path, *overrides: str) -> Study:
    return create(config_of(*overrides), name="run", results=results)[0]


def test_a_notice_is_a_line_in_a_log_and_drive_passes_it_on(tmp_path: Path) -> None:
    study, paper = new_study(tmp_path, "trials=4"), io.StringIO()
    lines = Lines(study, Console(file=paper, width=200))
    with study.journal:
        assert drive(study, Flaky(), watch=lines, stop=StopSign()) == "finished"
    said = paper.getvalue().splitlines()
    assert [line.split("  ")[0] for line in said[:5]] == [
        "search 1/4", AWAY.text, "search 2/4", BACK.text, "search 3/4",
    ]  # fmt: skip


def test_no_more_confirmations_are_announced_than_there_are_trials_to_confirm(tmp_path: Path) -> None:
    study, paper = new_study(tmp_path, "trials=1", "confirm={top: 3, seeds: 2}"), io.StringIO()
    lines = Lines(study, Console(file=paper, width=200))
    with study.journal:
        drive(study, InProcess(lambda proposal, _: scored(proposal)), watch=lines, stop=StopSign())
    said = [line.split("  ")[0] for line in paper.getvalue().splitlines()]
    assert said == ["search 1/1", "confirmation 1/2", "confirmation 2/2", "final training 1/1"]


def test_a_notice_stands_in_the_live_table_until_it_is_over(tmp_path: Path) -> None:
    study = new_study(tmp_path, "trials=4")
    live, seen = LiveTable(study, "run"), list[tuple[str, bool]]()

    def watch(what: str, of: object) -> None:
        live(what, of)  # type: ignore[arg-type]
        paper = io.StringIO()
        Console(file=paper, force_terminal=True, width=100, color_system=None).print(live.render())
        seen.append((what, AWAY.text in paper.getvalue()))

    with study.journal:
        drive(study, Flaky(), watch=watch, stop=StopSign())
    shown = [what for what, there in seen if there]
    assert shown[:2] == ["notice", "told"]
    assert len(shown) < len(seen) / 2
    assert seen[-1] == ("told", False)
    assert [there for what, there in seen if what == "notice"] == [True, False]


def test_a_notice_before_any_trial_breaks_nothing(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    with study.journal:
        LiveTable(study, "run")("notice", AWAY)


def test_the_live_table_never_calls_an_inherited_score_a_validation_accuracy(tmp_path: Path) -> None:
    settings = "strategy={type: one_shot, search: random, evaluations: 9, best: 2, others: 2}"
    study = new_study(tmp_path, "space=mixed", "limits=[]", "confirm={top: 0}", settings)
    live, heads = LiveTable(study, "run"), list[str]()

    def watch(what: str, of: object) -> None:
        live(what, of)  # type: ignore[arg-type]
        paper = io.StringIO()
        Console(file=paper, force_terminal=True, width=120, color_system=None).print(live.render())
        _, _, below = paper.getvalue().partition("\n\n")
        head, _, rows = below.partition("──")
        if what == "told" and "inherited " in rows:
            heads.append(" ".join(head.split()))

    def score(proposal: Proposal) -> Outcome:
        names = {
            Kind.SUPERNET: "supernet_loss", Kind.INHERIT: "inherited_accuracy", Kind.FINAL: "test_accuracy",
        }  # fmt: skip
        name = names.get(proposal.kind, "validation_accuracy")
        return Outcome(status=Status.DONE, metrics={name: 0.5}, seconds=1.0)

    with study.journal:
        drive(study, InProcess(lambda proposal, _: score(proposal)), watch=watch, stop=StopSign())
    assert len(heads) == 14  # 9 scores, 4 trainings, the final one
    assert not any("validation" in head for head in heads)
    assert ["inherited" in head for head in heads] == [True] * 9 + [False] * 5


def test_a_log_that_was_silent_for_long_says_how_the_run_stands(tmp_path: Path) -> None:
    now, paper = [0.0], io.StringIO()
    study = new_study(tmp_path, "trials=6", "epochs=2")
    lines = Lines(study, Console(file=paper, width=200), clock=lambda: now[0])
    with study.journal:
        study.placed(Capacity(workers=2))
        for _ in range(4):
            asked = study.ask()
            assert asked is not None
            lines("asked", study.history.trials[asked[0].number])
        study.tell(0, 0, Outcome(status=Status.DONE, metrics={"validation_accuracy": 0.9}, seconds=600.0))
        study.tell(1, 0, Outcome(status=Status.DIVERGED, note="nan", seconds=600.0))
        for moment in (SILENT_SECONDS - 1, SILENT_SECONDS, SILENT_SECONDS + 1, 2 * SILENT_SECONDS):
            now[0] = moment
            lines("report" if moment % 2 else "waited", None)
        now[0] += SILENT_SECONDS - 1
        lines("told", study.history.trials[1])
        now[0] += SILENT_SECONDS - 1
        lines("waited", None)
    said = paper.getvalue().splitlines()
    assert len(said) == 3
    assert said[0] == said[1]
    assert re.fullmatch(
        r"search: 1 of 6 done, 2 running, 1 failed \(1 diverged\); best so far: validation accuracy 90\S* %, "
        r"parameters \S+, MACs \S+; about \d+ (h|min) .* left",
        said[0],
    )
    assert said[2].endswith("diverged: nan")


def test_a_life_sign_before_the_first_trial_ended_says_what_is_known(tmp_path: Path) -> None:
    now, paper = [0.0], io.StringIO()
    study = new_study(tmp_path, "trials=6")
    lines = Lines(study, Console(file=paper, width=200), clock=lambda: now[0])
    with study.journal:
        now[0] = SILENT_SECONDS
        lines("waited", None)
    assert paper.getvalue() == "search: 0 of 6 done\n"
