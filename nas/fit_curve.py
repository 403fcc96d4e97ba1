"""The curves of a fit: a few sizes of its rule and of the rules of one dimension, from the same base.

They are a study of their own in the folder `curve` of the fit's run; what the grid was told is taken over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scaling.anatomy import anatomy
from scaling.compound import scale
from scaling.rules import Compound, DepthOnly, ResolutionOnly, Rule, WidthOnly
from search_spaces.data import Data
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.network import Network
from search_spaces.serialise import Json, from_data, key

from .config import StudyConfig
from .family_folder import in_full
from .fit import Fit, listed
from .journal import JOURNAL
from .launch import create, reopen
from .study import Study

CURVE = "curve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized(Data):
    """A network of a curve: the rule's name, its phi, and its key."""

    rule: str
    phi: float
    key: str


def rules_of(fit: Fit, chosen: Compound) -> dict[str, Rule]:
    """Return the rules that curves are drawn of: the compound one, and those of one dimension that may grow."""
    growth, held = fit.grid.growth, set(fit.scaling.fix)
    held |= {"resolution"} if anatomy(fit.base).rigid else set()
    single: dict[str, Rule] = {
        "depth": DepthOnly(growth=growth),
        "width": WidthOnly(growth=growth),
        "resolution": ResolutionOnly(growth=growth),
    }
    return {"compound": chosen} | {f"{name} only": rule for name, rule in single.items() if name not in held}


def sizes_of(fit: Fit, chosen: Compound) -> dict[Sized, Network]:
    """Return the networks of each rule's curve at phi 1, 2 and so on, without those that repeat a smaller one."""
    made: dict[Sized, Network] = {}
    for name, rule in rules_of(fit, chosen).items():
        seen = {key(fit.base)}
        for phi in range(1, fit.sizes + 1):
            try:
                network = scale(fit.base, phi, scaling=replace(fit.scaling, rule=rule, fix=())).network
            except (BadInput, Unbuildable):
                break  # so far and no further
            if (own := key(network)) not in seen:
                seen.add(own)
                made[Sized(rule=name, phi=float(phi), key=own)] = network
    return made


def curve_study(
    fit: Fit, chosen: Compound, study: Study, config: StudyConfig, folder: Path
) -> tuple[Study, StudyConfig]:
    """Begin the study of the curves in its folder, or go on with it; what the grid was told is taken over."""
    place = folder / CURVE
    if (place / JOURNAL).is_file():
        execution = json.dumps(in_full(config.execution))
        return reopen(place, [f"execution={execution}"])
    made = sizes_of(fit, chosen)
    networks = list({key(network): network for network in (fit.base, *made.values())}.values())
    seeds = study.plan.confirm_seeds + 1 if study.plan.confirm_top else 1
    own = listed(config, networks, seeds=seeds)
    began, _ = create(own, name=CURVE, results=folder, purpose={"curve": [in_full(one) for one in made]})
    for trial in study.history.trials.values():
        if trial.done:
            began.carry(trial, folder.name)
    return began, own


def curve_in(header: Mapping[str, Json]) -> tuple[Sized, ...]:
    """Return which networks a study of curves trains."""
    said = header["curve"]
    assert isinstance(said, Sequence), "curve_study wrote a list"
    return tuple(from_data(Sized, one) for one in said)
