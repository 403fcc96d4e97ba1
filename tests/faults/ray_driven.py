"""A driver to be killed: runs a study of light trials on a Ray cluster in the folder it is given, begun or resumed.

Usage: python ray_driven.py FOLDER CLUSTER TRIALS PLAY
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))

import light_worker
from bench import SPACES, again, begin, plan

from nas.driver import drive, stop_on_signals
from nas.execution.ray_tune import RayTune, Wanted
from nas.journal import JOURNAL
from nas.plan import Plan
from nas.strategies import Evolution


def the_plan(trials: int) -> Plan:
    """Return a plan in which what is asked depends on what was told, and in which order."""
    return plan(Evolution(population=4, contestants=2), SPACES["tied"](), trials=trials, final="none")


def main(folder: Path, cluster: str, trials: int, play: str) -> int:
    """Drive a study and return the exit code."""
    study = (again if (folder / JOURNAL).exists() else begin)(folder, the_plan(trials))
    executor = RayTune(
        setup={"folder": str(folder), "plays": [play]}, folder=folder, wanted=Wanted(cluster=cluster),
        program=(sys.executable, "-P", light_worker.__file__),
    )  # fmt: skip
    with stop_on_signals() as stop, study.journal:
        ending = drive(study, executor, watch=lambda *_: None, stop=stop)
    return 0 if ending == "finished" else 130


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
