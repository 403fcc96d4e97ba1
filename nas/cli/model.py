"""What MODEL means on a command line: a published network, a spec file, a trial of a run, a member of a family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from search_spaces.automaton import count
from search_spaces.check import combinators
from search_spaces.errors import BadInput
from search_spaces.names import nearest
from search_spaces.network import Network
from search_spaces.presets import is_preset
from search_spaces.serialise import load
from search_spaces.zoo import MODELS, is_model, model

from ..family_folder import family_folder, read_family
from ..launch import run_folder
from .record import network_of, read_record, trial_named

FILES = (".json", ".yaml", ".yml")


def model_named(text: str, results: Path) -> Network:
    """Return what a published name, a spec file, `RUN#best`, `RUN#key` or `FAMILY#member` means."""
    run, mark, trial = text.rpartition("#")
    if mark:
        family = family_folder(run, results)
        if family is not None:
            return read_family(family).member(trial)[1]
        record = read_record(run, results)
        return network_of(record, trial_named(record, trial))
    if is_model(text):
        return model(text)
    if is_preset(text):
        raise BadInput(
            f"model: got {text!r}, a search space, expected one network; search it, or see `nas space {text}`"
        )
    if not text.endswith(FILES) and (holds := _in_results(text, results)):
        raise BadInput(
            f"model: got {text!r}, a {holds[0]}, expected one network; name one of it, {text}#{holds[1]}"
        )
    if not text.endswith(FILES) and not Path(text).is_file():
        raise BadInput(
            f"model: got {text!r}, expected a published network ({', '.join(MODELS)}), a spec file "
            f"(.json, .yaml), RUN#best, RUN#key or FAMILY#member{nearest(text, MODELS)}"
        )
    network = load(Path(text))
    if any(combinators(network)):
        raise BadInput(
            f"{text}: a space of {count(network):,} architectures, expected one; see `nas space {text}`"
        )
    return network


def _in_results(text: str, results: Path) -> tuple[str, str] | None:
    """Return what lies in the results by that name, a family or a run, and how a network of it is named."""
    if (family := family_folder(text, results)) is not None:
        return "family", read_family(family).file.members[-1].name
    try:
        run_folder(text, results)
    except BadInput:
        return None
    return "run", "best"


def with_input(network: Network, shape: tuple[int, ...] | None) -> Network:
    """Return the network for another input `(channels, *spatial)`."""
    return network if shape is None else replace(network, input=shape)


def shape_from(text: str | None) -> tuple[int, ...] | None:
    """Return the shape that text such as `3,224,224` says."""
    if text is None:
        return None
    parts = [part.strip() for part in text.replace("x", ",").split(",")]
    if not 2 <= len(parts) <= 4 or not all(part.isdecimal() and 0 < int(part) <= 2**31 for part in parts):
        raise BadInput(f"--input: got {text!r}, expected channels and sizes, such as 3,224,224 or 1,8,8")
    return tuple(map(int, parts))
