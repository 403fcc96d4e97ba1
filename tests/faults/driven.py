"""A driver to be killed: runs a study of instant trials in the folder it is given, begun or resumed.

Usage: python driven.py FOLDER TRIALS SECONDS_A_TRIAL [deaf]

A deaf trial does not end when it is interrupted, as one that spins in C.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))

from bench import SPACES, again, begin, done, plan

from nas.driver import drive, stop_on_signals
from nas.execution.in_process import InProcess
from nas.journal import JOURNAL
from nas.strategies import Evolution


def main(folder: Path, trials: int, pause: float, *, deaf: bool) -> int:
    the_plan = plan(Evolution(population=8, contestants=3), SPACES["tied"](), trials=trials, confirm_top=2)
    study = (again if (folder / JOURNAL).exists() else begin)(folder, the_plan)

    def slow(proposal, report):  # type: ignore[no-untyped-def]
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0:
            with suppress(KeyboardInterrupt) if deaf else nullcontext():
                time.sleep(left)
        report(1, {"validation_loss": 0.5})
        return done(proposal)

    with stop_on_signals() as stop, study.journal:
        ending = drive(study, InProcess(slow), watch=lambda *_: None, stop=stop)
    return 0 if ending == "finished" else 130


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), deaf=sys.argv[4:] == ["deaf"]))
