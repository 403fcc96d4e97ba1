"""What runs amount to: means with their spread, and a paired test against the baseline, as rows and as CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from math import sqrt
from pathlib import Path

from ..storage import replace_file
from .pool import Runs

BASELINE = "random"
TEST = "Wilcoxon signed-rank, one-sided, paired by seed, zeros by Pratt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One strategy's scores after one budget. `sd` and `error` (standard error of the mean) need two seeds."""

    strategy: str
    protocol: str
    dataset: str
    budget: float
    mean: float
    sd: float | None
    error: float | None
    seeds: int
    gain: (
        float | None
    )  # mean over the baseline's, for the same seeds; above 0 is better; None: it is the baseline
    p: float | None  # of no gain over the baseline, by `TEST`


def rows(runs: Sequence[Runs], *, baseline: str = BASELINE) -> list[Row]:
    """Return a row for each strategy, task, report and budget; the baseline is looked for among the runs."""
    base = {one.task: one for one in runs if one.strategy == baseline}
    return [
        _row(one, base.get(one.task), report, budget)
        for one in runs
        for report in range(len(one.task.reports))
        for budget in one.task.budgets
    ]


def p_better(gains: Sequence[float]) -> float:
    """Return the chance of gains so large where ours and the baseline's scores come from one distribution.

    Wilcoxon's signed-rank test (1945), one-sided: scores are bounded, skewed and often exactly the optimum, which
    ranks bear and a t test would not. Under the null hypothesis pairs may be swapped, so that differences are
    symmetric as the test wants. Equal pairs keep their ranks and lose them afterwards (Pratt 1959): many of them make p
    larger, not smaller. With at most 13 pairs, some of them tied, exact by permutation.
    """
    if not any(gains):
        return 1.0
    from scipy.stats import wilcoxon  # type: ignore[import-untyped]  # loads numpy

    return float(wilcoxon(gains, zero_method="pratt", alternative="greater").pvalue)


def places_for(spread: float) -> int:
    """Return the decimals that show two digits of a spread, 0 to 6.

    >>> places_for(0.35), places_for(0.004), places_for(12_000.0), places_for(0.0)
    (2, 4, 0, 2)
    """
    if spread <= 0:
        return 2
    exponent = int(f"{spread:e}".partition("e")[2])
    return min(6, max(0, 1 - exponent))


def write_rows(found: Iterable[Row], path: Path) -> Path:
    """Write rows as CSV, numbers so that they read back equal."""
    return _write_csv(path, [f.name for f in fields(Row)], (astuple(row) for row in found))


def write_scores(runs: Sequence[Runs], path: Path) -> Path:
    """Write every run's score after every budget as CSV: what the rows are made of."""
    lines = (
        (one.strategy, one.task.protocol, of.dataset, budget, seed, score)
        for one in runs
        for report, of in enumerate(one.task.reports)
        for budget in one.task.budgets
        for seed, score in zip(one.seeds, one.scores(report, budget), strict=True)
    )
    return _write_csv(path, ("strategy", "protocol", "dataset", "budget", "seed", "score"), lines)


def _row(one: Runs, base: Runs | None, report: int, budget: float) -> Row:
    scores, n = one.scores(report, budget), len(one.seeds)
    of = one.task.reports[report]
    sd = statistics.stdev(scores) if n > 1 else None
    gains = None
    if base is not None and base is not one:
        theirs = dict(zip(base.seeds, base.scores(report, budget), strict=True))
        gains = [
            of.sign * (score - theirs[seed])
            for seed, score in zip(one.seeds, scores, strict=True)
            if seed in theirs
        ]
    return Row(
        strategy=one.strategy,
        protocol=one.task.protocol,
        dataset=of.dataset,
        budget=budget,
        mean=statistics.fmean(scores),
        sd=sd,
        error=None if sd is None else sd / sqrt(n),
        seeds=n,
        gain=None if gains is None else statistics.fmean(gains),
        p=None if gains is None else p_better(gains),
    )


def _write_csv(path: Path, heads: Sequence[str], lines: Iterable[Sequence[object]]) -> Path:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    replace_file(path, text.getvalue().encode())
    return path
