"""Which architectures a config names, a space or a list of networks, held against the data they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from scaling.cost import cost
from search_spaces.check import combinators
from search_spaces.choice import Choice
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.heads import Classifier, DenseClassifier, Regressor
from search_spaces.network import Network
from search_spaces.presets import preset
from search_spaces.serialise import Json, load

from .config import StudyConfig
from .recipe import Candidate

Architectures = Network | tuple[Candidate, ...]  # a space, or a list


def candidates(config: StudyConfig) -> tuple[Candidate, ...]:
    """Return the members of a config's list, each with its recipe."""
    assert isinstance(config.space, tuple), "a list"
    return tuple(Candidate(network=one.network, recipe=one.recipe or config.recipe) for one in config.space)


def space_of(config: StudyConfig, data: Mapping[str, Json]) -> Architectures:
    """Return the space a config names, or its list, for its data's input; one for other data is refused.

    Sizes may differ from the data's: examples are resized to what a network takes.
    """
    if isinstance(config.space, tuple):
        return _listed(config, data)
    shape = tuple(cast("list[int]", data["input"]))
    if isinstance(config.space, str) and not _is_file(config.space):
        ready = preset(config.space, shape, classes=cast(int, data["outputs"]))
        return replace(ready, head=_regressor(ready.head)) if data["task"] == "regression" else ready
    space = load(Path(config.space)) if isinstance(config.space, str) else config.space
    if not config.table:
        _check_fits(space, data, where="space")
    return space


def _listed(config: StudyConfig, data: Mapping[str, Json]) -> tuple[Candidate, ...]:
    """Return a list's candidates: each one network that can be built, for this data, and there once."""
    found = candidates(config)
    if not found or config.table:
        raise BadInput(
            "space: got a list, expected a space for table"
            if found
            else "space: got an empty list, expected networks"
        )
    for number, one in enumerate(found):
        where = f"space[{number}]"
        if (opened := next(combinators(one), None)) is not None:
            raise BadInput(
                f"{where}.{opened[0]}: got a choice, expected a value; what a list holds is not searched"
            )
        _check_fits(one.network, data, where=where)
        try:
            cost(one.network)
        except Unbuildable as error:
            raise Unbuildable(f"{where}: {error}") from None
        if (twin := found.index(one)) < number:
            raise BadInput(f"{where}: the same as space[{twin}], expected each once; leave it out")
    return found


def _check_fits(space: Network, data: Mapping[str, Json], *, where: str) -> None:
    """Refuse a space with other channels, axes or outputs than the data has."""
    shape = tuple(cast("list[int]", data["input"]))
    if len(space.input) != len(shape) or space.input[0] != shape[0]:
        raise BadInput(
            f"{where}.input: got {space.input}, expected {shape}, which {data['name']} gives as (channels, *sizes); "
            "change the space, or say how the arrays lie with data.layout: channels_first or channels_last"
        )
    for head in space.head.options if isinstance(space.head, Choice) else (space.head,):
        _check_head(head, data, where=where)


def _check_head(head: object, data: Mapping[str, Json], *, where: str) -> None:
    kinds = (Classifier, DenseClassifier) if data["task"] == "classification" else (Regressor,)
    if not isinstance(head, Classifier | DenseClassifier | Regressor):
        return  # a user's own head knows what it gives
    field = "outputs" if isinstance(head, Regressor) else "classes"
    given = getattr(head, field)
    if not isinstance(head, kinds) or given != data["outputs"]:
        wanted = "outputs" if kinds == (Regressor,) else "classes"
        raise BadInput(
            f"{where}.head: got {type(head).__name__}({field}={given}), expected "
            f"{kinds[0].__name__}({wanted}={data['outputs']}) for {data['name']}; change it"
        )


def _regressor(head: object) -> Regressor:
    """Return the head of a preset for real-valued targets."""
    assert isinstance(head, Classifier), "presets end in a classifier"
    return Regressor(
        outputs=head.classes, width=head.width, dropout=head.dropout, act=head.act, norm=head.norm
    )


def _is_file(text: str) -> bool:
    return text.endswith((".yaml", ".yml", ".json")) or "/" in text
