"""From a config to a study in a run folder, and back from the folder to the study."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import cast

from scaling.constraints import parse_limit, prove_feasible, refuse_contradictions
from scaling.providers import ANALYTIC, LATENCY, Provider, check_known, provided, who_knows
from search_spaces.choice import Choice, options
from search_spaces.errors import ArchscaleError, BadInput
from search_spaces.names import nearest
from search_spaces.network import Network
from search_spaces.serialise import Json, from_data, to_data

from .analysis.front import Objective
from .architectures import Architectures, candidates, space_of
from .cluster import check_cluster, share_of
from .config import MAY_CHANGE, StudyConfig, changed, config_from_data, differences
from .execution.base import Executor
from .execution.local import LocalWorkers
from .execution.machine import check_workers
from .family_folder import FAMILY
from .history import history_of
from .journal import JOURNAL, Event, Journal, header_of, read
from .latency import Device, Latencies, Latency, described_latencies, latencies_of, refuse_changed
from .plan import Plan
from .recipe import LEAST_EACH, Candidate
from .storage import check_name, inside
from .study import Study

RESULTS = Path("results")
NO_PURPOSE: Mapping[str, Json] = {}
FORKED = ("fit",)  # purposes that a fork has too; a family's training belongs to its own folder
SCORES = {  # by task, what every trial that is done has
    "classification": ("validation_accuracy", "validation_loss", "train_loss", "train_seconds"),
    "regression": ("validation_rmse", "validation_r2", "validation_loss", "train_loss", "train_seconds"),
}


def create(
    config: StudyConfig,
    *,
    name: str | None,
    results: Path = RESULTS,
    purpose: Mapping[str, Json] = NO_PURPOSE,
) -> tuple[Study, Path]:
    """Begin a study in `results/<name>`; a limit that no member can keep is refused before anything is written.

    `purpose` is kept in the run's header: what more than a search the run is for, such as a fit.
    """
    if name is not None and (inside(results, check_name(name)) / JOURNAL).exists():
        raise BadInput(f"name: {name} is a run already; resume it, `nas resume {name}`, or give another name")
    plan, space, data = planned(config)
    folder = inside(results, check_name(name or _free_name(config, results)))
    check_cluster(config, folder.parent)
    header: dict[str, Json] = {
        "config": to_data(config), "space": to_data(space) if isinstance(space, Network) else None,
        "data": dict(data), "versions": _versions(), **purpose, **described_latencies(latencies_in(plan)),
    }  # fmt: skip
    with _closed_if_raising(Journal.create(folder, header)) as journal:
        return Study(plan, journal), folder


def planned(config: StudyConfig) -> tuple[Plan, Architectures, dict[str, Json]]:
    """Return what a study is to do, its space and its data; what cannot be used is refused, and nothing is written."""
    _check_here(config)
    data = data_of(config)
    if not data["test"] and config.final.of != "none":
        raise BadInput(
            f"data.test: got {config.data.test:g}, expected a share above 0, for the winner is tested, "
            "once; or set final.of=none"
        )
    space = space_of(config, data)
    plan = plan_of(config, space, providers=providers_of(config, space))
    _check_metrics(plan, config, data)
    if config.table and (config.strategy.shares_weights or config.strategy.promotes):
        does = "trains supernets" if config.strategy.shares_weights else "stops trainings early"
        raise BadInput(
            f"strategy: got {type(config.strategy).__name__}, which {does}, in a study that looks trials up in the "
            f"table {config.table}, which has one answer a member; give it data, or take another strategy"
        )
    config.strategy.check_space(plan.space)
    config.strategy.check_epochs(plan.epochs)
    if plan.limits:
        _check_nothing_is_cut_short(config)
        refuse_contradictions(plan.limits)
    if plan.limits and isinstance(space, Network):
        prove_feasible(space, plan.limits, providers=plan.providers)
    return plan, space, data


def reopen(folder: Path, overrides: Sequence[str] = ()) -> tuple[Study, StudyConfig]:
    """Open a run to go on with it; overrides may change how much is done (trials, minutes, execution), no more."""
    with _closed_if_raising(Journal.open(folder)) as journal:
        config, space, amended = settings(journal.events, overrides)
        _check_here(config)
        check_cluster(config, folder.resolve().parent)
        providers = providers_of(config, space, begun=journal.header)
        plan = plan_of(config, space, providers=providers)
        refuse_changed(latencies_in(plan), journal.header)
        return Study(plan, journal, amended=amended), config


def fork(
    folder: Path, overrides: Sequence[str], *, name: str | None, results: Path = RESULTS
) -> tuple[Study, StudyConfig, Path]:
    """Begin another run from a run's config, changed; what it was told is taken over where the data is the same."""
    events = read(folder)
    base, before = settings(events)[0], history_of(events)
    config = changed(base, overrides)
    purpose = {what: before.header[what] for what in FORKED if what in before.header}
    study, new = create(config, name=name, results=results, purpose=purpose)
    if (base.data, before.header["data"]) == (config.data, study.history.header["data"]):
        for trial in before.trials.values():
            if (
                trial.done and not trial.identity.job
            ):  # the files of a supernet stay with the run that made it
                study.carry(trial, folder.name)
    return study, config, new


def settings(
    events: Sequence[Event], overrides: Sequence[str] = ()
) -> tuple[StudyConfig, Architectures, dict[str, Json]]:
    """Return a run's config as last amended, its space, and what these overrides amend."""
    header = header_of(events)
    base = cast("dict[str, object]", header["config"])
    for event in events:
        if event.type == "start":
            base = {**base, **cast("dict[str, object]", event.payload.get("amended", {}))}
    config = config_from_data(base)
    wanted = changed(config, overrides) if overrides else config
    frozen = replace(wanted, **{name: getattr(config, name) for name in MAY_CHANGE})
    if frozen != config:
        raise BadInput(
            "resume: a run goes on with what it began with; got another " + "; ".join(differences(config, frozen))
            + f". Only {', '.join(MAY_CHANGE)} may change; --fork NAME begins a new run from it, with the change"
        )  # fmt: skip
    amended = {
        name: to_data(getattr(wanted, name))
        for name in MAY_CHANGE
        if getattr(wanted, name) != getattr(config, name)
    }
    space = candidates(config) if isinstance(config.space, tuple) else from_data(Network, header["space"])
    return wanted, space, amended


def executor_for(
    config: StudyConfig, folder: Path, header: Mapping[str, object], *, most: Sequence[int] | None = None
) -> Executor:
    """Return the executor a config asks for; it checks that the data is still what the run began with.

    Of train and validation parts, trials see `most` examples: all where it is None.
    """
    if config.table:
        from .lookup import lookups

        return lookups(config.table, from_data(Network, header["space"]), cast("Mapping[str, Json]", header))
    setup: dict[str, Json] = {
        "data": to_data(config.data), "device": config.execution.device, "folder": str(folder.resolve()),
        "fingerprint": cast("dict[str, Json]", header["data"])["fingerprint"], "imports": list(config.imports),
        "threads": config.execution.threads, "trial_seconds": config.execution.trial_seconds,
        "most": None if most is None else list(most),
    }  # fmt: skip
    if config.execution.ranks > 1:
        setup["ranks"] = config.execution.ranks
    if config.execution.cluster is not None:
        return _on_cluster(config, folder, setup, latencies="latency" in header)
    if config.execution.here == 0:
        from .execution.in_process import InProcess
        from .worker import bench_of  # which loads torch in this process

        return InProcess(bench_of(setup).run, gpus=config.execution.gpus_here)
    return LocalWorkers(
        setup=setup,
        folder=folder,
        workers=config.execution.here,
        threads=config.execution.threads,
        trial_seconds=config.execution.trial_seconds,
        gpus=config.execution.gpus_here,
    )


def plan_of(
    config: StudyConfig, space: Architectures, *, providers: tuple[Provider, ...] = (ANALYTIC,)
) -> Plan:
    """Return what the study itself needs of a config; who only reads what happened needs no more providers."""
    return Plan(
        space=Candidate(network=space, recipe=config.recipe)
        if isinstance(space, Network)
        else Choice(*space),
        strategy=config.strategy,
        objectives=tuple(Objective.parse(text) for text in config.objectives),
        limits=tuple(parse_limit(text) for text in config.limits),
        providers=providers,
        most_measured=(config.latency or Latency()).most,
        epochs=config.epochs,
        trials=0 if config.final.of == "every" else config.strategy.trainings(config.trials),
        minutes=config.minutes,
        gpu_hours=config.execution.gpu_hours,
        confirm_top=0 if config.table else config.confirm.top,
        confirm_seeds=config.confirm.seeds,
        final_epochs=config.final.epochs,
        final="none" if config.table else config.final.of,
        final_seeds=config.final.seeds,
        seed=config.seed,
        twins=config.twins,
    )


def providers_of(
    config: StudyConfig, space: Architectures, *, begun: Mapping[str, Json] | None = None
) -> tuple[Provider, ...]:
    """Return who knows what limits may be on: a study's table, if it has one, then the formulas, then the device.

    `begun` is the header of a run that is gone on with: on a cluster it measures where it began to.
    """
    known: tuple[Provider, ...] = (ANALYTIC,)
    if config.table and isinstance(space, Network):
        from .lookup import columns_for

        known = columns_for(config.table, space), ANALYTIC
    metrics = [parse_limit(text).metric for text in config.limits]
    metrics += [Objective.parse(text).metric for text in config.objectives]
    if config.latency is None and (LATENCY not in metrics or who_knows(LATENCY, known) is not None):
        return known
    one = space if isinstance(space, Network) else None
    asked = config.latency or Latency()
    return (*known, latencies_of(asked, one, on=_device_on(config.execution.cluster, asked, begun)))


def latencies_in(plan: Plan) -> Latencies | None:
    """Return who knows latencies in a study, if anybody does."""
    return next((one for one in plan.providers if isinstance(one, Latencies)), None)


def data_of(config: StudyConfig) -> dict[str, Json]:
    """Describe a study's data, or its table in place of data."""
    return _table_of(config.table) if config.table else describe_data(config)


def describe_data(config: StudyConfig) -> dict[str, Json]:
    """Read the data and return its input shape, outputs, task and fingerprint."""
    from .data.load import load_search_data  # loads numpy

    try:
        found = load_search_data(config.data)
    except Exception as error:
        if isinstance(error, ArchscaleError) or ":" not in config.data.source:
            raise
        said = f"{type(error).__name__}: {error}"
        raise BadInput(f"data.source: {config.data.source} raised {said}; --debug shows where") from error
    return {
        "name": found.name, "input": list(found.input_shape), "outputs": found.outputs, "task": found.task,
        "fingerprint": found.fingerprint, "train": len(found.train.y), "validation": len(found.validation.y),
        "test": found.held_out,
    }  # fmt: skip


def run_folder(run: str, results: Path = RESULTS) -> Path:
    """Return the folder of a run, given by name or path; `BadInput` with the known runs where it is none."""
    if (Path(run) / JOURNAL).is_file():
        return Path(run)
    if "/" in run:
        raise BadInput(f"{run}: no run lies there; give the folder of one, or its name with --results DIR")
    folder = inside(results, check_name(run))
    if not (folder / JOURNAL).is_file():
        if (folder / FAMILY).is_file():
            raise BadInput(
                f"{run}: a family of which nothing is trained, expected a run; `nas compare {run}` shows it, and "
                "`nas scale` with --train makes one that is trained"
            )
        known = sorted(p.parent.name for p in results.glob(f"*/{JOURNAL}")) if results.is_dir() else []
        raise BadInput(
            f"{run}: no run of that name in {results}; expected one of: {', '.join(known) or 'none yet'}"
        )
    return folder


@contextmanager
def _closed_if_raising(journal: Journal) -> Iterator[Journal]:
    """Let go of a journal whose study cannot be had."""
    try:
        yield journal
    except BaseException:
        journal.close()
        raise


def _device_on(cluster: str | None, asked: Latency, begun: Mapping[str, Json] | None) -> Device | None:
    """Return the device of a cluster that latencies are measured on, None without a cluster."""
    if cluster is None:
        return None
    from .execution.ray_latency import ClusterDevice  # loads Ray

    before = cast("Mapping[str, str]", (begun or {}).get("latency", {})).get("device")
    return ClusterDevice(cluster=cluster, kind=asked.device, begun=before)


def _on_cluster(config: StudyConfig, folder: Path, setup: Mapping[str, Json], *, latencies: bool) -> Executor:
    from .execution.ray_latency import apart
    from .execution.ray_tune import RayTune, Wanted  # which load Ray

    asked = config.execution
    assert asked.cluster is not None
    wanted = Wanted(
        cluster=asked.cluster,
        share=share_of(config),
        workers=asked.workers,
        trial_seconds=asked.trial_seconds,
        reuse=not latencies or apart(asked.cluster, (config.latency or Latency()).device),
    )
    return RayTune(setup=setup, folder=folder, wanted=wanted)


def _check_here(config: StudyConfig) -> None:
    """Refuse what this machine cannot run; a cluster's nodes are asked by its own checks."""
    if config.execution.cluster is None:
        check_workers(config.execution.here, config.execution.threads)
    ranks, recipes = config.execution.ranks, [config.recipe]
    if isinstance(config.space, tuple):
        recipes += [one.recipe for one in config.space if one.recipe is not None]
    for batch in (batch for recipe in recipes for batch in options(recipe.batch)):
        if ranks > 1 and batch < LEAST_EACH * ranks:
            raise BadInput(
                f"recipe.batch: got {batch}, to be split over gpus={ranks}, expected {LEAST_EACH * ranks} or more"
            )


def _table_of(table: str) -> dict[str, Json]:
    from .lookup import described

    return described(table)


def _check_metrics(plan: Plan, config: StudyConfig, data: Mapping[str, Json]) -> None:
    """Refuse an objective that no trial would have, and a limit that nothing would be held against."""
    scores = plan.providers[0].metrics if config.table else SCORES[cast(str, data["task"])]
    if config.strategy.inherits:  # whose evaluations know no training of their own
        scores = tuple(name for name in scores if name.startswith("validation_"))
    also = () if config.table else (LATENCY,)  # which is measured where it is asked for
    known = tuple(dict.fromkeys((*scores, *provided(plan.providers), *also)))
    for objective in plan.objectives:
        if objective.metric not in known:
            raise BadInput(
                f"objectives: got {objective.metric!r}, expected one of {', '.join(known)}"
                f"{nearest(objective.metric, known)}"
            )
    check_known((limit.metric for limit in plan.limits), where="limits", providers=plan.providers, also=also)


def _check_nothing_is_cut_short(config: StudyConfig) -> None:
    if config.final.of == "every":
        raise BadInput(
            "limits: got some with final.of=every, which trains all; leave out of the list what breaks them"
        )


def _free_name(config: StudyConfig, results: Path) -> str:
    unnamed = "list" if isinstance(config.space, tuple) else "space"
    space = Path(config.space.partition("(")[0]).stem if isinstance(config.space, str) else unnamed
    data = Path(config.table).stem if config.table else config.data.source.partition(":")[0]
    named = data if data == space else f"{data}-{space}"
    stem = "".join(c if c.isalnum() else "-" for c in named.lower())[:48].strip("-")
    number = 1
    while (results / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def _versions() -> dict[str, Json]:
    return {"archscale": version("archscale"), "torch": version("torch"), "python": platform.python_version()}
