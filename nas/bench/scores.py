"""What runs amount to: means with their spread, and a paired test against the baseline, as rows and as CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from ..storage import replace_file
from .pool import Runs

BASELINE = "random"
ALL = "all"  # in place of a data set: the mean over a protocol's settings
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
    """Return a row for each strategy, task, report and budget; the baseline is looked for among the runs.

    Where a protocol has settings, each with a limit of its own, a strategy has one more, `all`: of the means over them.
    Pairs are then of such means, one a seed, for settings of one seed share its draws.
    """
    base = {one.task: one for one in runs if one.strategy == baseline}
    each = [
        _row(
            _Scored(
                one.strategy, one.task.protocol, of.dataset, budget, of.sign, one.by_seed(report, budget)
            ),
            None
            if one.task not in base or one.strategy == baseline
            else base[one.task].by_seed(report, budget),
        )
        for one in runs
        for report, of in enumerate(one.task.reports)
        for budget in one.task.budgets
    ]
    settings = _over_settings(runs)
    theirs = {(one.protocol, one.budget): one.scores for one in settings if one.strategy == baseline}
    return each + [
        _row(one, None if one.strategy == baseline else theirs.get((one.protocol, one.budget)))
        for one in settings
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


class _Scored(NamedTuple):
    """One strategy's scores by seed after one budget."""

    strategy: str
    protocol: str
    dataset: str
    budget: float
    sign: int  # 1 where more is better, else -1
    scores: Mapping[int, float]


def _over_settings(runs: Sequence[Runs]) -> list[_Scored]:
    """Return each strategy's mean over the settings of a protocol, seed by seed."""
    groups: dict[tuple[str, str, float], list[tuple[int, Mapping[int, float]]]] = {}
    for one in runs:
        for budget in one.task.budgets if one.task.within is not None else ():
            scores = one.task.reports[0].sign, one.by_seed(0, budget)
            groups.setdefault((one.strategy, one.task.protocol, budget), []).append(scores)
    return [
        _Scored(
            strategy,
            protocol,
            ALL,
            budget,
            found[0][0],
            {seed: statistics.fmean(scores[seed] for _, scores in found) for seed in found[0][1]},
        )
        for (strategy, protocol, budget), found in groups.items()
    ]


def _row(one: _Scored, base: Mapping[int, float] | None) -> Row:
    scores, n = list(one.scores.values()), len(one.scores)
    sd = statistics.stdev(scores) if n > 1 else None
    gains = None
    if base is not None:
        gains = [one.sign * (score - base[seed]) for seed, score in one.scores.items() if seed in base]
    return Row(
        strategy=one.strategy,
        protocol=one.protocol,
        dataset=one.dataset,
        budget=one.budget,
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
