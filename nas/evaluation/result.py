"""What a job is and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..proposal import Proposal
from .workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job found: finite metrics, a mixture's architecture weights, and remarks such as that it was continued."""

    metrics: Mapping[str, float]
    notes: tuple[str, ...] = ()
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


Job = Callable[[Proposal, Workspace], Result]
