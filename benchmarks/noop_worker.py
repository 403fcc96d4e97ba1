"""A worker whose trials do nothing, or sleep: `nas.worker`'s own loop, for benchmarks of who drives it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

from nas.proposal import Outcome, Proposal, Status
from nas.worker import Report, serve
from search_spaces.serialise import Json


class Nothing:
    """Sleeps as long as the setup says, and scores by the architecture alone."""

    def __init__(self, setup: Mapping[str, Json]) -> None:
        self.seconds = float(str(setup["seconds"]))

    def run(self, proposal: Proposal, report: Report) -> Outcome:
        """Run one trial."""
        time.sleep(self.seconds)
        score = random.Random(proposal.key).random()
        return Outcome(status=Status.DONE, metrics={"validation_accuracy": score}, seconds=self.seconds)


if __name__ == "__main__":
    serve(Nothing)
