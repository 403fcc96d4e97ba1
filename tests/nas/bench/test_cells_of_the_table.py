"""Our specs of NAS-Bench-201's cells against its table: params, MACs and classes of twins."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from nas.bench import Table, bundled
from scaling.cost import cost
from search_spaces import Network, decode, encode, enumerate_members
from search_spaces.equivalence import equivalence
from search_spaces.genotype import from_genotype, to_genotype


def disagreements(table: Table, members: Sequence[Network]) -> list[str]:
    """Return the cells whose params or MACs, for 10 or 100 classes, are not the table's."""
    wrong = []
    for member in members:
        row, own = table.of(member), cost(member)
        width = member.stages[-1].width  # type: ignore[union-attr]
        more = 90 * (width + 1), 90 * width  # weights and biases of 90 more classes; a bias costs no MAC
        if (own.params, own.macs) != (row["params_cifar10"], row["macs_cifar10"]) or (
            own.params + more[0],
            own.macs + more[1],
        ) != (row["params_cifar100"], row["macs_cifar100"]):
            wrong.append(to_genotype(member))
    return wrong


def test_cells_cost_what_the_table_says() -> None:
    table = bundled()
    codes = random.Random(0).sample(sorted(table.rows), 300)
    members = [decode(table.space, code) for code in codes]
    assert disagreements(table, members) == []
    assert [encode(table.space, from_genotype(table.space, to_genotype(m))) for m in members] == codes


def test_twins_among_some_cells_are_the_tables() -> None:
    """All cells with the last node fed by two operations at most: many twins, quickly gone through."""
    table = bundled()
    members = [
        decode(table.space, code)
        for code in table.rows
        if code[0] in (0, 1) and code[3] in (0, 1) and code[4] == 0
    ]
    assert len(members) == 2 * 2 * 5**3
    pairs = {(equivalence(member), table.of(member)["iso_class"]) for member in members}
    assert (
        len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs}) < len(members)
    )


@pytest.mark.slow
def test_all_cells_cost_what_the_table_says_and_fall_into_its_6466_classes() -> None:
    table = bundled()
    members = list(enumerate_members(table.space))
    assert len(members) == 15_625
    assert disagreements(table, members) == []
    pairs = {(equivalence(member), table.of(member)["iso_class"]) for member in members}
    assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs}) == 6_466
