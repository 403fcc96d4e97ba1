"""Latency on a cluster: each measurement is a Ray task that has its device to itself.

For the CPU it asks for all processors of one node, for a GPU for a whole one. Where nodes have the resource
`latency`, measurements go there, one at a time, and nothing else need wait. A run measures on one node as long as
that lives, then on another whose device has the same key.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from scaling.timing import Latency, Settings
from search_spaces.errors import ArchscaleError, BadInput, ClusterError
from search_spaces.network import Network

from .ray_cluster import Head, Node, head_address, join, nodes
from .ray_trial import CPU, GPU

LATENCY = "latency"  # the resource of nodes that are there to measure
MOST_LOST = 3  # tries of one measurement, each of which its node took with it
LOOK_SECONDS = 0.5  # between two looks whether a stop is asked
NAME_SECONDS = 120.0  # for a node to load torch and say what device it has
NAME = (
    "import sys; from scaling.device import device_named, fingerprint; "
    "print(fingerprint(device_named(sys.argv[1])).key)"
)

Measure = Callable[[Network, Settings], Latency]


def measured(network: Network, settings: Settings) -> Latency:
    """Return the latency of a network on the machine where this runs."""
    from scaling.latency import measure  # loads torch

    return measure(network, settings=settings)


class ClusterDevice:
    """A device of a cluster that networks are timed on, one that `begun` names if there is any.

    The cluster is joined when the device is first asked for.
    """

    def __init__(
        self, *, cluster: str, kind: str, begun: str | None = None, measure: Measure = measured
    ) -> None:
        if kind not in ("cpu", "cuda"):
            raise BadInput(
                f"latency.device: got {kind}, expected cpu or cuda, for the cluster says which one is free"
            )
        self._cluster, self._kind, self._measure = cluster, kind, measure
        self._key = begun
        self._node: Node | None = None

    @property
    def key(self) -> str:
        """What tells the device from others; of another one where the cluster has none such."""
        if self._node is None:
            self._node, self._key = self._found(self._key) or self._found(None) or self._none()
        assert self._key is not None
        return self._key

    def timed(self, network: Network, *, settings: Settings, stopping: Callable[[], bool]) -> Latency | None:
        """Time a network once its device is free; None where a stop was asked before that came to an end.

        Raises ClusterError where no node is left that has the device, or one after the other was lost.
        """
        wanted, lost = self.key, ""
        for _ in range(MOST_LOST):
            node = self._node_of(wanted)
            try:
                found = self._waited_for(self._begun_on(node, network, settings), stopping)
            except RayTaskError as error:
                raise error.cause if isinstance(error.cause, ArchscaleError) else error from None
            except RayError as error:
                lost = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
                continue
            if found is not None and found.device != wanted:
                raise self._not_there(f"got {found.device} on {node.name}", wanted)
            return found
        raise ClusterError(
            f"execution.cluster: {self._cluster}: {MOST_LOST} nodes in a row were lost while they measured a latency, "
            f"the last with {lost}; what was told is on disk, resume when the cluster is well"
        )

    def _begun_on(self, node: Node, network: Network, settings: Settings) -> Any:
        held = request(node, self._kind)
        task = ray.remote(self._measure).options(
            num_cpus=held.pop(CPU, 0.0), num_gpus=held.pop(GPU, 0.0), resources=held, max_retries=0,
            scheduling_strategy=_on(node), name="nas latency",
        )  # fmt: skip
        return task.remote(network, settings)

    def _waited_for(self, begun: Any, stopping: Callable[[], bool]) -> Latency | None:
        """Return what a task brings; None, and the task ended, once a stop is asked. Raises what Ray does."""
        head = Head(head_address())
        while not ray.wait([begun], timeout=LOOK_SECONDS)[0]:
            if stopping():
                ray.cancel(begun, force=True)
                return None
            if not head.answers() and head.gone:
                raise ClusterError(
                    f"execution.cluster: {self._cluster}: {head.gone}; what was told is on disk, nothing is lost: "
                    "resume, there or on another"
                )
        brought: Latency = ray.get(begun)
        return brought

    def _node_of(self, key: str) -> Node:
        """Return the node that measured so far, or another of the same device where it is gone."""
        if self._node is not None and self._node.id not in {node.id for node in nodes()}:
            self._node = None
        if self._node is None:
            found = self._found(key)
            if found is None:
                raise self._not_there("got none", key)
            self._node = found[0]
        return self._node

    def _found(self, key: str | None) -> tuple[Node, str] | None:
        """Return the first node whose device has a key, None for any, and that key."""
        join(self._cluster)
        for node in measuring(nodes(), self._kind):
            named = ray.remote(_named).options(num_cpus=0, max_retries=0, scheduling_strategy=_on(node))
            try:
                said = ray.get(named.remote(self._kind), timeout=NAME_SECONDS)
            except (GetTimeoutError, RayError):  # it is gone, or has no such device after all
                continue
            if key in (None, said):
                return node, said
        return None

    def _none(self) -> tuple[Node, str]:
        has = "; ".join(f"{node.name}: {_said(node)}" for node in nodes())
        raise BadInput(
            f"latency.device: got {self._kind}, expected a device that a node of the cluster has to itself: {has}; "
            "change latency.device, or start a node that has one"
        )

    def _not_there(self, got: str, key: str) -> ClusterError:
        return ClusterError(
            f"execution.cluster: {self._cluster}: {got}, expected a node with the device {key}, on which this run "
            "measures; start one, and resume"
        )


def measuring(alive: Sequence[Node], kind: str) -> Sequence[Node]:
    """Return the nodes that can measure, those first that are easiest to have alone; those for it alone, if any."""
    able = [
        node for node in alive
        if (node.resources.get(GPU, 0.0) >= 1 if kind == "cuda" else _has(node, CPU) or _has(node, LATENCY))
    ]  # fmt: skip
    of_their_own = [node for node in able if _has(node, LATENCY)]
    return sorted(
        of_their_own or able,
        key=lambda node: (node.resources.get(GPU, 0.0), node.resources.get(CPU, 0.0), node.id),
    )


def request(node: Node, kind: str) -> dict[str, float]:
    """Return what a measurement asks of its node, so that nothing runs beside it on its device."""
    held = {LATENCY: node.resources[LATENCY]} if _has(node, LATENCY) else {}
    cpus = node.resources.get(CPU, 0.0)
    if kind == "cuda":
        return {**held, GPU: 1.0, CPU: min(cpus, 1.0)}
    return {**held, CPU: cpus}


def apart(cluster: str, kind: str) -> bool:
    """Tell whether measurements have nodes on which no trial runs, so that they wait for none."""
    join(cluster)
    return not any(_has(node, CPU) for node in measuring(nodes(), kind))


def _has(node: Node, resource: str) -> bool:
    return node.resources.get(resource, 0.0) > 0


def _said(node: Node) -> str:
    return ", ".join(f"{node.resources.get(name, 0.0):g} {name}" for name in (CPU, GPU))


def _on(node: Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def _named(kind: str) -> str:
    """Return the key of a node's device; in a process of its own, which sees GPUs that this task does not hold."""
    seen = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", NAME, kind], env={**seen, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=NAME_SECONDS, check=True,
    )  # fmt: skip
    return done.stdout.strip()
