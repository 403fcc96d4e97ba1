"""What is tried on a cluster before a run is begun there, so that nothing waits for ever or fails on one node."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search_spaces.errors import ClusterError

from ..storage import make_folder, storage_errors
from . import node_probe
from .ray_cluster import Node, head_address, join, leave, many, may_come, nodes
from .ray_trial import CPU, GPU, Share
from .token import MODE, ON, REMEDY, is_here

NODE_SECONDS = 40.0  # that a node may take to answer; a first worker process there takes one to ten
SHOWN_NODES = 12
cloudpickle.register_pickle_by_value(node_probe)  # type: ignore[no-untyped-call]  # a node may have nothing of ours

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a run will ask of a cluster's nodes."""

    share: Share = Share()
    results: Path
    modules: Sequence[str] = ()  # the user's own, which trials import
    data: str | None = None  # a file or folder that trials read


class Preflight:
    """Looks at a cluster; each look returns what is worth knowing, or raises ClusterError."""

    def __init__(self, cluster: str, needs: Needs) -> None:
        self.warnings: list[str] = []
        self._cluster, self._needs = cluster, needs
        self._alive: Sequence[Node] = ()
        self._said: Mapping[str, Said] | None = None  # by the node's id
        self._seen = f".preflight-{secrets.token_hex(6)}"

    def looks(self) -> Sequence[tuple[str, Callable[[], str]]]:
        """List the looks by name; the first joins the cluster, and the others need that."""
        return (
            ("cluster", self.cluster), ("requests", self.requests), ("token", self.token), ("nodes", self.versions),
            ("shared", self.storage), ("code", self.modules), ("data", self.data),
        )  # fmt: skip

    def cluster(self) -> str:
        """Join it, and count what it has."""
        join(self._cluster)
        self._alive = nodes()
        cpus, gpus = (sum(one.resources.get(what, 0.0) for one in self._alive) for what in (CPU, GPU))
        return f"{self._cluster} at {head_address()}: {many(len(self._alive), 'node')}, {cpus:g} CPU, {gpus:g} GPU"

    def requests(self) -> str:
        """Hold what a trial asks for, and its retry alone on a whole node, against every node."""
        fits = [one.fits(self._needs.share) for one in self._alive]
        if sum(fits):
            side_by_side = f"{many(sum(fits), 'trial')} of {self._needs.share} fit side by side"
            return f"{side_by_side}, on {many(len([n for n in fits if n]), 'node')}; a retry alone gets one of these"
        coming = may_come()
        if any(one.fits(self._needs.share) for one in coming):
            return (
                f"no node has {self._needs.share} now, but the cluster's autoscaler may start one that does"
            )
        raise ClusterError(impossible(self._needs.share, self._alive, coming))

    def token(self) -> str:
        """Say whether the cluster asks for a token; one on other machines that does not is refused."""
        open_ones = [one for one in self._alive if not self._answers()[one.id]["token"]]
        if not open_ones:
            return "on"
        if any(not is_here(one.address) for one in self._alive):
            raise ClusterError(
                f"token: {_names(open_ones)} run without one, so whoever reaches the cluster can run code on "
                f"it; {REMEDY}"
            )
        self.warnings.append(
            f"the cluster {self._cluster} runs without a token, so whoever reaches this machine can run code on it; "
            f"unset {MODE}, or set it to {ON}, and begin the cluster again"
        )
        return self.warnings[-1]

    def versions(self) -> str:
        """Hold every node's versions against ours."""
        ours = node_probe.versions()
        differing = []
        for one in self._alive:
            said = self._answers()[one.id]
            if said["archscale"]:
                raise ClusterError(
                    f"{one.name}: archscale cannot be imported there ({said['archscale']}); install "
                    f"{_named('archscale', ours['archscale'])} on that node, or have Ray do it: `nas submit --pip "
                    f"{_named('archscale', ours['archscale'], '==')}`"
                )
            differing += [
                f"{one.name} has {_named(what, theirs)}"
                for what, theirs in said["versions"].items()
                if theirs != ours[what] and None not in (theirs, ours[what])
            ]
        here = ", ".join(_named(what, number) for what, number in ours.items())
        if differing:
            raise ClusterError(
                f"versions: {'; '.join(differing)}, expected as here: {here}; install the same everywhere"
            )
        return f"the same everywhere: {here}"

    def storage(self) -> str:
        """Find each node's probe in the results folder."""
        where = self._needs.results
        for one in self._alive:
            why = self._answers()[one.id]["storage"] or self._unread(one)
            if why:
                raise ClusterError(
                    f"{one.name}: {where}: {why}; expected the results folder to be shared by all nodes and writable "
                    "on each: mount the same storage there under the same path, or give another with --results"
                )
        return f"{where} is the same folder on every node, and writable"

    def modules(self) -> str:
        """Look on every node for the user's modules."""
        for one in self._alive:
            for module, why in self._answers()[one.id]["modules"].items():
                raise ClusterError(
                    f"{one.name}: {module}, which the config names, cannot be imported there ({why}); put it into a "
                    "folder that all nodes share and start there, install it on every node, or `nas submit` ships it"
                )
        named = ", ".join(self._needs.modules)
        return (
            f"archscale and {named} can be imported everywhere"
            if named
            else "archscale can be imported everywhere"
        )

    def data(self) -> str:
        """Read the data's path on every node."""
        for one in self._alive:
            if why := self._answers()[one.id]["data"]:
                raise ClusterError(
                    f"{one.name}: data.path: {self._needs.data}: {why}; expected a path that every node can read: put "
                    "the data on shared storage, or at the same place on each"
                )
        return (
            f"{self._needs.data} can be read everywhere"
            if self._needs.data
            else "in the package, or made by code"
        )

    def close(self) -> None:
        """Remove the probes."""
        for path in self._needs.results.glob(f"{self._seen}*"):
            with suppress(OSError):
                path.unlink()

    def _answers(self) -> Mapping[str, Said]:
        if self._said is None:
            self._said = self._ask()
        return self._said

    def _ask(self) -> Mapping[str, Said]:
        make_folder(self._needs.results)
        with storage_errors(self._needs.results, doing="writing there"):
            (self._needs.results / self._seen).write_text("")
        asked = {
            "home": str(Path.cwd()), "results": str(self._needs.results), "seen": self._seen,
            "modules": list(self._needs.modules), "data": self._needs.data,
        }  # fmt: skip
        task = ray.remote(num_cpus=0, max_retries=0)(node_probe.probe)
        at = {
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(one.id, soft=False)).remote(
                one.id, asked
            ): one
            for one in self._alive
        }
        done, silent = ray.wait(list(at), num_returns=len(at), timeout=NODE_SECONDS)
        if silent:
            for task_of in silent:
                ray.cancel(task_of, force=True)
            raise ClusterError(
                f"{_names([at[one] for one in silent])} did not answer within {NODE_SECONDS:g} s; is the machine up, "
                "and can this one reach its ports? Take it out of the cluster, `ray stop` there, or mend it"
            )
        return {at[one].id: _answer(at[one], one) for one in done}

    def _unread(self, one: Node) -> str:
        path = self._needs.results / f"{self._seen}-{one.id}"
        return "" if node_probe.comes_into_sight(path) else "what is written there is not seen here"


def preflight(cluster: str, needs: Needs) -> Sequence[str]:
    """Join a cluster and look at it before a run; return warnings. Raises ClusterError where it cannot serve it."""
    looking, joined = Preflight(cluster, needs), ray.is_initialized()
    try:
        for _, look in looking.looks():
            look()
    except BaseException:
        if not joined:
            leave()
        raise
    finally:
        looking.close()
    return looking.warnings


def impossible(share: Share, alive: Sequence[Node], coming: Sequence[Node]) -> str:
    """Say that no node can ever take a trial, with what each has."""
    rows = [(one.name, one.resources) for one in alive[:SHOWN_NODES]]
    rows += [(f"{one.name} (may come)", one.resources) for one in coming]
    width = max([len(name) for name, _ in rows], default=0)
    lines = [f"  {name:<{width}}  {has.get(CPU, 0):4g} CPU  {has.get(GPU, 0):4g} GPU" for name, has in rows]
    if len(alive) > SHOWN_NODES:
        lines.append(f"  and {len(alive) - SHOWN_NODES} more, none larger")
    ask = "ask for less, execution.threads and execution.gpus, or add a node that has as much"
    return f"execution: each trial asks for {share}, and no node has that; {ask}\n" + "\n".join(lines)


def _answer(node: Node, future: ray.ObjectRef[Said]) -> Said:
    try:
        return ray.get(future)
    except ray.exceptions.RayError as error:
        text = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"{node.name}: a first task could not be run there ({text}); see Ray's logs on it"
        ) from error


def _named(what: str, number: str | None, between: str = " ") -> str:
    return f"{what}{between}{number}" if number else what


def _names(some: Sequence[Node]) -> str:
    return ", ".join(dict.fromkeys(f"{one.name} ({one.address})" for one in some))
