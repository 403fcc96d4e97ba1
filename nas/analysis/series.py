"""What is compared: named sets of points, and limits that points keep or break."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

from nas.analysis.front import Objective, Point, finite, front
from nas.analysis.metrics import metric, shown
from scaling.constraints import Limit, Sign, violations
from search_spaces.errors import BadInput

__all__ = ["Kind", "Limit", "Series", "Sign", "bound_text", "check", "front_within", "keeps"]

Kind = Literal["run", "baseline", "family"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The points of one run, one family or one set of published baselines.

    `keys` names the points, one each, by hexadecimal keys or model names; or it is empty.
    """

    name: str
    points: tuple[Point, ...]
    keys: tuple[str, ...] = ()
    kind: Kind = "run"

    def __post_init__(self) -> None:
        """Refuse an empty name, another kind, and keys that do not go with the points."""
        if not self.name.strip():
            raise BadInput(f"series: got the name {self.name!r}, expected some text; name it")
        if self.kind not in get_args(Kind):
            raise BadInput(
                f"{self.name}: got kind {self.kind!r}, expected one of {', '.join(get_args(Kind))}"
            )
        if self.keys and len(self.keys) != len(self.points):
            raise BadInput(
                f"{self.name}: got {len(self.keys)} keys for {len(self.points)} points, expected one each"
            )


def bound_text(name: str, sign: Sign, bound: float) -> str:
    """Such as `MACs ≤ 25M`."""
    return f"{metric(name).short} {sign} {shown(name, bound)}"


def keeps(point: Point, limits: Sequence[Limit]) -> bool:
    """Whether the point is known to keep all limits: one that lacks a limited metric is not."""
    return all(_keeps(finite(point, limit.metric), limit) for limit in limits)


def front_within(
    points: Sequence[Point], objectives: Sequence[Objective], *, limits: Sequence[Limit]
) -> tuple[int, ...]:
    """The positions of the front among the points that keep all limits."""
    kept = [i for i, point in enumerate(points) if keeps(point, limits)]
    return tuple(kept[i] for i in front([points[i] for i in kept], objectives))


def check(series: Sequence[Series], metrics: Iterable[str]) -> None:
    """Raise BadInput when there are no points, a name comes twice, or no point has one of `metrics`."""
    names = [one.name for one in series]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"series: got the name {name!r} twice, expected different ones; rename one")
    points = [point for one in series for point in one.points]
    if not points:
        raise BadInput(
            f"series: got no points in {', '.join(names) or 'no series'}, expected a finished trial"
        )
    known = sorted({name for point in points for name in point if finite(point, name) is not None})
    for name in metrics:
        if name not in known:
            raise _unknown(name, known, points)


def _keeps(value: float | None, limit: Limit) -> bool:
    return value is not None and not violations({limit.metric: value}, [limit])


def _unknown(name: str, known: Sequence[str], points: Sequence[Point]) -> BadInput:
    if any(name in point for point in points):
        return BadInput(
            f"metric: none of {len(points)} points has a finite {name}; choose {', '.join(known)}"
        )
    near = get_close_matches(name, known, n=3, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?" if near else "measure it first, or check the spelling"
    )
    return BadInput(
        f"metric: got {name!r}, expected one of {', '.join(known) or 'none that is finite'}; {hint}"
    )
