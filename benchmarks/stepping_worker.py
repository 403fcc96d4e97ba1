"""A worker whose trials sleep in steps and keep how far they came, as a training keeps checkpoints: for benchmarks."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path

from nas.proposal import Outcome, Proposal, Status
from nas.storage import replace_file
from nas.worker import Report, serve
from search_spaces.serialise import Json


class Steps:
    """Sleeps `steps` times `seconds`, from where an earlier attempt had come to."""

    def __init__(self, setup: Mapping[str, Json]) -> None:
        self.folder = Path(str(setup["folder"]))
        self.steps, self.seconds = int(str(setup["steps"])), float(str(setup["seconds"]))

    def run(self, proposal: Proposal, report: Report) -> Outcome:
        """Run one trial."""
        file = self.folder / f"step-{proposal.number}"
        first = int(file.read_text()) if file.exists() else 0
        for step in range(first, self.steps):
            time.sleep(self.seconds)
            replace_file(file, str(step + 1).encode())
            report(step + 1, {})
        score = random.Random(proposal.key).random()
        note = f"continued after step {first}" if first else ""
        return Outcome(status=Status.DONE, metrics={"validation_accuracy": score}, note=note)


if __name__ == "__main__":
    serve(Steps)
