"""A study's config as data, read from YAML with `key=value` overrides; nothing in it is evaluated.

`imports` names modules to import first, so that a user's own blocks, strategies or augmentations are known.
"""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, cast

from pydantic import Field

from search_spaces.block import Whole
from search_spaces.data import REGISTER, ByKind, Checked, Data
from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import from_data, parse, read_text, to_data

from .data import DataSpec
from .latency import Latency
from .plan import Tested
from .recipe import Recipe
from .sharing import Sampler
from .strategies import Evolution, StrategyConfig

Seconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31)]
CLUSTER = re.compile(
    r"auto|local:[1-9]\d{0,3}|(?!local:)[A-Za-z0-9][A-Za-z0-9._-]*(:\d{1,5})?|\[[0-9a-fA-F:]+\](:\d{1,5})?"
)
DEFAULT_STRATEGY = "evolution"
NESTED: dict[str, type] = {
    "search": StrategyConfig,
    "sampler": Sampler,
}  # fields of a strategy that take classes
MAY_CHANGE = ("trials", "minutes", "execution")  # on resume: they change how much, not what is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(Data):
    """How the winner is named: the best `top` are trained again with `seeds` fresh seeds each; 0 skips it."""

    top: Count = 3
    seeds: Whole = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Final(Data):
    """Who is trained on train and validation for the test part, with how many seeds; each reads it once.

    `best`: the winner of the search. `every`: each member of the space, and nothing is searched, for no choice may be
    made by the test part; meant for lists. `none`: nobody. `epochs` None: as long as a trial.
    """

    of: Tested = "best"
    seeds: Whole = 1
    epochs: Annotated[Whole | None, ByKind()] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution(Checked):
    """Who runs trials: worker processes that can be killed, this process (0 workers), or a Ray cluster.

    `workers` None: one, or on a cluster as many as fit. On a cluster a trial asks for `threads` processors and
    `gpus`: none, a share of one, one, or several, over which its batches are split, with `threads` for each.
    """

    workers: Annotated[Annotated[int, Field(ge=0, le=4096)] | None, ByKind()] = None
    threads: Whole = 1  # of each worker
    device: str = "auto"
    trial_seconds: Annotated[Seconds | None, ByKind()] = (
        None  # a longer trial is killed; not the final training
    )
    cluster: Annotated[str | None, ByKind()] = None  # auto, HOST, HOST:PORT, or local:N
    gpus: Annotated[float, Field(ge=0, le=64, allow_inf_nan=False)] = 0.0  # of each trial, on a cluster
    gpu_hours: Annotated[Seconds | None, ByKind()] = None  # no trial is begun once as many are used

    def check(self) -> None:
        """Refuse a device or cluster whose name says nothing; whether one is there, workers find out."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise BadInput(f"device: got {self.device!r}, expected auto, cpu, cuda or cuda:0 and so on")
        if self.cluster is not None and not CLUSTER.fullmatch(self.cluster):
            raise BadInput(
                f"cluster: got {self.cluster!r}, expected auto, a host such as 10.0.0.5 or 10.0.0.5:6379, or local:4"
            )
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise BadInput(
                f"gpus: got {self.gpus:g}, expected a share of one, such as 0.25, or a whole number"
            )
        if self.gpus > 1 and ":" in self.device:
            raise BadInput(
                f"device: got {self.device} with gpus={self.gpus:g}, expected cuda, for all of them"
            )
        if self.cluster is None and self.gpus:
            raise BadInput(
                f"gpus: got {self.gpus:g} without a cluster, expected 0; on this machine `device` says where trials "
                "run, and cluster=local:1 shares its GPUs"
            )
        if self.gpu_hours is not None and not (self.gpus or self.gpus_here):
            asks = "gpus: 1" if self.cluster is not None else "device: cuda"
            raise BadInput(
                f"gpu_hours: got {self.gpu_hours:g} where no trial asks for a GPU, so that it would never be reached; "
                f"set {asks} beside it, or cap the time by `minutes`"
            )
        if self.cluster is not None and self.workers == 0:
            raise BadInput("workers: got 0 with a cluster, expected 1 or more, or none for as many as fit")

    @property
    def gpus_here(self) -> float:
        """How many GPUs of this machine trials share that run on it: one, where the device is named."""
        return float(self.cluster is None and self.device.startswith("cuda"))

    @property
    def ranks(self) -> int:
        """How many devices train one network together."""
        return max(1, int(self.gpus))

    @property
    def cpus(self) -> int:
        """How many processors a trial asks of a cluster's node."""
        return self.threads * self.ranks

    @property
    def here(self) -> int:
        """How many workers run on this machine; 0 stands for this process."""
        return 1 if self.workers is None else self.workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Data):
    """One network of a list, and the recipe it is trained by; None: the study's."""

    network: Network
    recipe: Annotated[Recipe | None, ByKind()] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig(Data):
    """Everything a study is: what is searched, on which data, how, and within which limits."""

    space: Annotated[
        str | Network | tuple[Listed, ...], ByKind()
    ]  # a preset, a file's path, a space, or a list
    data: DataSpec = DataSpec()
    table: Annotated[str | None, ByKind()] = None  # look trials up in it instead: nasbench201, or a file
    strategy: StrategyConfig = field(default_factory=Evolution)
    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("validation_accuracy:max",)
    limits: tuple[str, ...] = ()  # such as "macs <= 5M"
    latency: Annotated[Latency | None, ByKind()] = (
        None  # what latency_ms is, in limits, objectives and reports
    )
    recipe: Recipe = Recipe()
    epochs: Whole = 20  # of every trial
    trials: Whole = 50  # before confirmation
    minutes: Annotated[Seconds | None, ByKind()] = None  # no trial is begun later than this
    confirm: Confirm = Confirm()
    final: Final = Final()
    execution: Execution = Execution()
    seed: Count = 0
    twins: bool = True  # false: cells that write a known one's graph in another way are not trained
    imports: tuple[str, ...] = ()


def load_config(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study's YAML file; `overrides` are texts such as `strategy.population=10`."""
    return read_config(read_text(path), overrides, source=str(path))


def read_config(text: str, overrides: Sequence[str] = (), *, source: str) -> StudyConfig:
    """Read a study's YAML text; `BadInput` names the path, or the line, of what cannot be used."""
    data = parse(text, source=source)
    if not isinstance(data, dict):
        raise BadInput(f"{source}: got {type(data).__name__}, expected a mapping such as `space: mixed`")
    for override in overrides:
        _override(data, override)
    try:
        return config_from_data(data)
    except BadInput as error:
        raise type(error)(f"{source}: {error}") from None


def config_from_data(data: Mapping[str, object]) -> StudyConfig:
    """Return the checked config of what YAML or a journal's header gave."""
    plain = dict(data)
    import_modules(plain.get("imports", ()))
    if isinstance(plain.get("strategy"), str):
        plain["strategy"] = {"type": plain["strategy"]}
    if isinstance(plain.get("strategy"), dict):
        given = {"type": DEFAULT_STRATEGY, **cast("dict[str, object]", plain["strategy"])}
        plain["strategy"] = _with_class_names(given, StrategyConfig, "strategy")
    if isinstance(plain.get("data"), str):
        plain["data"] = {"source": plain["data"]}
    return from_data(StudyConfig, plain)


def changed(config: StudyConfig, overrides: Sequence[str]) -> StudyConfig:
    """Return a config with overrides applied."""
    data = cast("dict[str, object]", copy.deepcopy(to_data(config)))
    for override in overrides:
        _override(data, override)
    return config_from_data(data)


def differences(a: StudyConfig, b: StudyConfig) -> list[str]:
    """List what differs between two configs, as `name: ours, theirs`."""
    ours, theirs = (cast("dict[str, object]", to_data(c)) for c in (a, b))
    names = dict.fromkeys([*ours, *theirs])
    return [
        f"{name}: {_shown(a, name, ours)} in the run, {_shown(b, name, theirs)} asked"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _shown(config: StudyConfig, name: str, said: Mapping[str, object]) -> object:
    default = getattr(config, name)
    return said.get(name, default if isinstance(default, int | float | str | None) else "default")


def _override(data: dict[str, object], text: str) -> None:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise BadInput(f"{text}: expected key=value, such as trials=100 or strategy.population=10")
    *parents, last = path.strip().split(".")
    at = data
    for parent in parents:
        inner = at.setdefault(parent, {})
        if isinstance(inner, str) and parent in ("strategy", "data", *NESTED):
            inner = at[parent] = {"source" if parent == "data" else "type": inner}
        if not isinstance(inner, dict):
            raise BadInput(f"{text}: {parent} holds {inner!r}, expected a mapping to set {last} in")
        at = inner
    at[last] = parse(value, source=path) if value.strip() else None


def _with_class_names(given: dict[str, object], base: type, where: str) -> dict[str, object]:
    """Let `evolution` stand for the class Evolution, in what lies below as well: a name alone, or with settings."""
    named = _with_class_name(given, base, where)
    for name, of in NESTED.items():
        if name in named:
            inner = named[name]
            inner = {"type": inner} if isinstance(inner, str) else inner
            named[name] = (
                _with_class_names(inner, of, f"{where}.{name}") if isinstance(inner, dict) else inner
            )
    return named


def _with_class_name(given: dict[str, object], base: type, where: str) -> dict[str, object]:
    """Let `evolution` and `local_search` stand for the classes Evolution and LocalSearch."""
    known = {_plain(name): name for name in REGISTER[base]}
    name = given.get("type")
    if not isinstance(name, str) or _plain(name) not in known:
        words = sorted(_words(n) for n in known.values())
        near = get_close_matches(str(name), words, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise BadInput(f"{where}: got {name!r}, expected one of {', '.join(words)}{hint}")
    return {**given, "type": known[_plain(name)]}


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _words(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def import_modules(modules: object) -> None:
    """Import a user's modules by name, so that what they register is known; `BadInput` where one cannot be."""
    if not isinstance(modules, list | tuple) or not all(isinstance(m, str) for m in modules):
        raise BadInput(f"imports: got {modules!r}, expected a list of module names")
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise BadInput(
                f"imports: {module} cannot be imported ({error}); is it in this folder, or on PYTHONPATH?"
            ) from None
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise BadInput(f"imports: {module} raised {said}; --debug shows where") from error
