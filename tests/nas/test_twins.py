"""Cells that write one graph in several ways: asked, unless the study says not to."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
from bench import again, begin, plan, run

from nas.recipe import Candidate
from nas.strategies import Random
from search_spaces.equivalence import equivalence
from search_spaces.presets import preset

SPACE = preset("nasbench201(width=4, cells=1)", (1, 8, 8), classes=10)
TRIALS = 120


def classes(folder: Path, *, twins: bool) -> list[str]:
    the_plan = plan(Random(), SPACE, limits=(), trials=TRIALS, twins=twins)
    the_plan = replace(the_plan, space=Candidate(network=SPACE))  # without a searched recipe
    study = begin(folder, the_plan)
    asked = run(study, TRIALS // 2)
    study.journal.close()
    asked += run(again(folder, the_plan), TRIALS // 2)
    assert len({proposal.key for proposal in asked}) == TRIALS
    return [equivalence(proposal.candidate.network) for proposal in asked]


def test_twins_are_asked_by_default(tmp_path: Path) -> None:
    assert len(set(classes(tmp_path / "run", twins=True))) < TRIALS


def test_a_study_can_leave_twins_out_and_still_does_when_resumed(tmp_path: Path) -> None:
    assert len(set(classes(tmp_path / "run", twins=False))) == TRIALS
