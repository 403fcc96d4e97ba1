"""The Ray cluster a run is given: joined or begun, what its nodes have, and whether it still answers."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import ray

from search_spaces.errors import ClusterError

from .ray_trial import CPU, GPU, Share

DEFAULT_PORT = 6379
LOCAL = "local:"
QUIET = {  # read by Ray and Ray Tune; what a user has set stays
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # its snapshots are never read: the journal is the truth
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine of a cluster, as Ray knows it."""

    name: str
    id: str
    resources: Mapping[str, float]

    def fits(self, share: Share) -> int:
        """Return how many trials of a share it can run side by side."""
        cpus = int(self.resources.get(CPU, 0.0) // share.cpus)
        if not share.gpus:
            return cpus
        gpus = self.resources.get(GPU, 0.0)
        # A share of a GPU is of one GPU: 0.4 fits twice on each, not five times on two.
        whole = int(gpus // share.gpus) if share.gpus >= 1 else int(gpus) * int(1 / share.gpus + 1e-9)
        return min(cpus, whole)


def join(cluster: str) -> None:
    """Join a cluster: `auto`, `HOST[:PORT]`, or `local:N`, which is begun on this machine with N processors.

    Raises ClusterError where there is none, or it does not let us in.
    """
    if ray.is_initialized():
        return
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        if cluster.startswith(LOCAL):
            cpus = int(cluster.removeprefix(LOCAL))
            ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=address_of(cluster), log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        leave()
        first = str(error).strip().partition("\n")[0]
        raise ClusterError(
            f"execution.cluster: {cluster} could not be joined ({type(error).__name__}: {first}); is a head running "
            "there, `ray start --head`, and is this machine one of its nodes, `ray start --address`?"
        ) from error


def leave() -> None:
    """Leave the cluster; one that was begun here ends."""
    with suppress(Exception):  # it may be gone
        ray.shutdown()


def address_of(cluster: str) -> str:
    """Return what Ray is to join: `auto`, or a host with its port."""
    if cluster == "auto" or cluster.rpartition(":")[2].isdecimal():
        return cluster
    return f"{cluster}:{DEFAULT_PORT}"


def nodes() -> Sequence[Node]:
    """List the nodes that are alive, the largest first."""
    alive = [
        Node(name=n["NodeManagerHostname"], id=n["NodeID"], resources=n["Resources"])
        for n in ray.nodes()  # type: ignore[no-untyped-call]
        if n["Alive"]
    ]
    return sorted(
        alive, key=lambda node: (-node.resources.get(GPU, 0.0), -node.resources.get(CPU, 0.0), node.id)
    )


def answers(address: str, *, seconds: float = 2.0) -> bool:
    """Tell whether somebody listens at a head's address, `HOST:PORT`."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
            return True
    except OSError:
        return False


def head_address() -> str:
    """Return `HOST:PORT` of the joined cluster's head."""
    return str(ray.get_runtime_context().gcs_address)
