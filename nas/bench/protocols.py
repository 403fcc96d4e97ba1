"""Protocols: what a strategy is told, what a query costs, and what is reported after each budget. All data.

A task is one kind of run; the protocol `B` has two, because its signal differs by data set, and `limited` has twelve,
its settings. Budgets count queries, or what the `clock` column says a query costs. A query that would end past a budget
does not count for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from search_spaces.errors import BadInput

from ..analysis.front import Objective

CURVE_POINTS = 80  # at which a run is looked at, beside its budgets
HYPERVOLUME = "Hypervolume over that of the true front"
MOST = 1e9  # of a budget
FIRST_SHARE = 0.04  # of the largest budget in a clock's units: where curves begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is read off a run: a metric of the member with the best signal, or how much its front attains.

    Without `metric`, the hypervolume of what was found over that of the true front. With `regret`, how far the metric
    is from the best there is within the task's limit.
    """

    dataset: str
    metric: Objective | None
    label: str  # for people
    regret: bool = False

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return -1 if self.regret or (self.metric is not None and self.metric.direction == "min") else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A limit: at most the least value of this column that so many per cent of all members keep."""

    column: str
    percentile: int  # 1 to 99

    def __str__(self) -> str:
        return f"{self.column}-{self.percentile}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One kind of run, on one table."""

    protocol: str
    about: str  # for people, in a few words
    signal: tuple[Objective, ...]  # what a strategy is told
    reports: tuple[Report, ...]
    budgets: tuple[float, ...]
    clock: str | None = None  # the column that counts towards budgets; None: each query counts 1
    clock_label: str = "Queries"
    reference: tuple[float | None, ...] = ()  # of the hypervolume; None: the table's worst; (): see `Ground`
    within: Within | None = None  # what lies outside may not be asked

    @property
    def marks(self) -> tuple[float, ...]:
        """Where a run is looked at, ascending: its budgets, and points for a curve."""
        largest = max(self.budgets)
        if self.clock is None:  # evenly on a logarithmic axis
            curve = (float(round(largest ** (i / CURVE_POINTS))) for i in range(CURVE_POINTS + 1))
        else:
            step = (1 - FIRST_SHARE) / CURVE_POINTS
            curve = (largest * (FIRST_SHARE + step * i) for i in range(CURVE_POINTS))
        return tuple(sorted({*curve, *self.budgets}))


def _oracle(dataset: str, label: str) -> Task:
    test = Objective(metric=f"{dataset}_test_200ep", direction="max")
    return Task(
        protocol="B",
        about="the score itself is the signal",
        signal=(test,),
        reports=(Report(dataset=dataset, metric=test, label=f"{label} test accuracy (%)"),),
        budgets=(50, 100, 150, 300),
    )


def _limited(column: str, percentile: int, device: str) -> Task:
    test, within = Objective.parse("cifar10_test_200ep:max"), Within(column=column, percentile=percentile)
    label = "CIFAR-10 test accuracy short of the best within the limit (points)"
    return Task(
        protocol="limited",
        about=f"among the {percentile} % fastest on {device}",
        signal=(test,),
        reports=(Report(dataset=str(within), metric=test, label=label, regret=True),),
        budgets=(200,),
        within=within,
    )


DEVICES = {
    "raspi4_ms": "a Raspberry Pi 4",
    "eyeriss_ms": "Eyeriss",
    "titanx_256_ms": "a Titan X, batch 256",
    "gold6226_ms": "a Xeon Gold 6226",
}
STANDARD = ("A", "B", "two")  # the protocols that are played where none is named
PROTOCOLS: Mapping[str, tuple[Task, ...]] = {
    # Dong & Yang 2020, section 5: short trainings as signal, and as much time as 12,000 s of the published clock.
    "A": (
        Task(
            protocol="A",
            about="short trainings as signal",
            signal=(Objective.parse("cifar10_val_12ep:max"),),
            reports=(
                Report(
                    dataset="cifar10",
                    metric=Objective.parse("cifar10_test_200ep:max"),
                    label="CIFAR-10 test accuracy (%)",
                ),
                Report(
                    dataset="cifar100",
                    metric=Objective.parse("cifar100_test_200ep:max"),
                    label="CIFAR-100 test accuracy (%)",
                ),
            ),
            budgets=(12_000,),
            clock="cost_12ep_s",
            clock_label="Simulated time (s)",
        ),
    ),
    # An oracle: the signal is the test accuracy itself, so that only the strategy's way through the space counts.
    "B": (_oracle("cifar10", "CIFAR-10"), _oracle("cifar100", "CIFAR-100")),
    # The front of test error and MACs, up to an error of 20 % and the largest MACs of the space.
    "two": (
        Task(
            protocol="two",
            about="test accuracy and MACs",
            signal=(Objective.parse("cifar10_test_200ep:max"), Objective.parse("macs_cifar10:min")),
            reports=(Report(dataset="cifar10", metric=None, label=HYPERVOLUME),),
            budgets=(50, 100, 200, 500, 1000),
            reference=(80.0, None),
        ),
    ),
    # An oracle under a latency limit: members outside are never asked, and cost nothing.
    "limited": tuple(
        _limited(column, percentile, device)
        for column, device in DEVICES.items()
        for percentile in (10, 25, 50)
    ),
}
OWN = "table"  # the protocol's name for a user's own table
OWN_BUDGETS = (50.0, 100.0, 200.0, 500.0, 1000.0)


def own_task(
    name: str,
    objectives: Sequence[Objective],
    *,
    size: int,
    clock: str | None = None,
    budgets: Sequence[float] = (),
) -> Task:
    """Return the task of a user's own table: an oracle for one objective, a hypervolume ratio for several.

    Without budgets, 50 to 1,000 queries as far as the space's `size` goes; a clock needs them. Raises `BadInput`.
    """
    if not objectives or len({o.metric for o in objectives}) < len(objectives):
        raise BadInput(
            f"objective: got {', '.join(map(str, objectives)) or 'none'}, expected one, or several different ones; "
            "name a column and its direction, such as accuracy:max"
        )
    if clock is not None and not budgets:
        raise BadInput(f"budget: got none, expected some in units of the column {clock}; give them")
    one = objectives[0] if len(objectives) == 1 else None
    label = HYPERVOLUME if one is None else f"Best {one.metric}"
    task = Task(
        protocol=OWN,
        about=", ".join(map(str, objectives)),
        signal=tuple(objectives),
        reports=(Report(dataset=name, metric=one, label=label),),
        budgets=tuple(b for b in OWN_BUDGETS if b < size) or (float(size),),
        clock=clock,
        clock_label="Queries" if clock is None else f"Spent ({clock})",
    )
    return with_budgets(task, budgets) if budgets else task


def with_budgets(task: Task, budgets: Sequence[float]) -> Task:
    """Return the task with other budgets, ascending; `BadInput` for one that nothing can be done within."""
    for budget in budgets:
        if not 0 < budget < MOST or (task.clock is None and budget % 1):
            expected = "a whole number of queries" if task.clock is None else f"an amount of {task.clock}"
            raise BadInput(
                f"budget: got {budget:g}, expected {expected} above 0 and below {MOST:g}; change it"
            )
    return replace(task, budgets=tuple(sorted(set(budgets))))
