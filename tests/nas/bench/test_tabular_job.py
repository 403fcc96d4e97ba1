"""The tabular job: what a table says of an architecture, as a trial's outcome."""

from __future__ import annotations

from nas.bench import bundled
from nas.evaluation.tabular import look_up
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate
from search_spaces import Network
from search_spaces.genotype import from_genotype
from search_spaces.zoo import model

SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
COLUMNS = ("cifar10_val_12ep", "cifar10_test_200ep")


def looked_up(network: Network, *columns: str, seconds: str | None = "cost_12ep_s") -> Outcome:
    proposal = Proposal(number=0, kind=Kind.TRAIN, candidate=Candidate(network=network), epochs=12, seed=0)
    return look_up(proposal, bundled(), columns=columns, seconds=seconds)


def test_metrics_are_the_columns_and_the_cost_is_counted_as_seconds():
    network = from_genotype(bundled().space, SKIPS)
    row, found = bundled().of(network), looked_up(network, *COLUMNS)
    assert found.status is Status.DONE
    assert found.metrics == {name: row[name] for name in COLUMNS}
    assert found.seconds == row["cost_12ep_s"] > 0
    assert looked_up(network, *COLUMNS, seconds=None).seconds == 0


def test_an_architecture_without_a_row_fails_and_says_so():
    found = looked_up(model("lenet5"), *COLUMNS)
    assert (found.status, found.metrics) == (Status.BUG, {})
    assert "expected" in found.note


def test_a_column_that_is_not_there_fails_and_names_those_that_are():
    found = looked_up(from_genotype(bundled().space, SKIPS), "accuracy")
    assert found.status is Status.BUG
    assert found.note.startswith("columns: got 'accuracy', expected some of cifar10_val_12ep")
