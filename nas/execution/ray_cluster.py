"""The Ray cluster a run is given: joined or begun, what its nodes have, and whether it still answers."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import ray
from ray._private import ray_constants
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._private.state import state

from search_spaces.errors import ClusterError

from .ray_trial import CPU, GPU, Share
from .token import REMEDY, is_here, keep_to_owner, refuse_without

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


HEAD_SECONDS = 20.0  # without an answer of the head; Ray itself ends this process after 60
TRIES = 5  # of a head that listens but lets nobody in, a second each; Ray's own number is 20
REFUSED = "InvalidAuthToken"  # what Ray says of a token that is wrong, or is not shown
MISMATCH = "Version mismatch"  # what Ray says where a head runs another Ray or Python


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine of a cluster, as Ray knows it."""

    name: str
    id: str
    resources: Mapping[str, float]
    address: str = ""

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

    What is begun here listens on the loopback address alone. Raises ClusterError where there is no cluster, or it
    does not let us in, or it is on other machines and there is no token for it.
    """
    if ray.is_initialized():
        return
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if cluster.startswith(LOCAL):
        _begin(int(cluster.removeprefix(LOCAL)))
    else:
        _enter(cluster)


def _begin(cpus: int) -> None:
    try:
        with _set_in_ray(ENABLE_RAY_CLUSTER=False):  # as on a laptop: all its sockets on the loopback address
            ray.init(
                num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
                address="local", _node_ip_address="127.0.0.1",
            )  # fmt: skip
    except Exception as error:
        leave()
        raise ClusterError(
            f"execution.cluster: {LOCAL}{cpus} could not be begun ({_one_line(error)}); free memory and room in "
            f"{tempfile.gettempdir()}, or run without a cluster"
        ) from error
    keep_to_owner()


def _enter(cluster: str) -> None:
    where = address_of(cluster)
    if cluster != "auto":
        if not is_here(where.rpartition(":")[0]):
            refuse_without(cluster)
        if not answers(where):
            raise ClusterError(
                f"execution.cluster: nobody answers at {where}; is a head running there, `ray start --head "
                "--port=6379`, and does a firewall let this machine in?"
            )
    with tempfile.TemporaryFile() as said, _errors_into(said.fileno()):
        try:
            maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
            with _set_in_ray(NUM_REDIS_GET_RETRIES=TRIES):
                ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            leave()
            said.seek(0)
            raise ClusterError(
                f"execution.cluster: {_why(cluster, error, said.read().decode(errors='replace'))}"
            ) from error
    if any(not is_here(node.address) for node in nodes()):
        try:
            refuse_without(cluster)
        except ClusterError:
            leave()
            raise


def _why(cluster: str, error: Exception, said: str) -> str:
    """Return why a cluster was not joined, and what to do, from Ray's error and what it wrote meanwhile."""
    text = _one_line(error)
    if REFUSED in said or REFUSED in text or "Unauthenticated" in text:
        return f"{cluster} refused our token, or that there is none; {REMEDY}"
    if MISMATCH in text:
        return f"{cluster} runs other versions than this process ({text}); install the same on both"
    if cluster == "auto":
        return (
            f"auto: this machine is no node of a cluster ({text}); make it one, `ray start --address=HEAD:6379`, or "
            "begin one here, `ray start --head`, or local:2"
        )
    return (
        f"{cluster} could not be joined ({text}); is a head running there, `ray start --head`, and is this machine "
        "one of its nodes, `ray start --address`?"
    )


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]


@contextmanager
def _set_in_ray(**values: object) -> Iterator[None]:
    """Set constants that Ray reads from the environment only when it is imported, for as long as it starts."""
    before = {name: getattr(ray_constants, name) for name in values}
    for name, value in values.items():
        setattr(ray_constants, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(ray_constants, name, value)


@contextmanager
def _errors_into(file: int) -> Iterator[None]:
    """Write what this process says on standard error to a file: Ray repeats itself there each second."""
    kept = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


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
        Node(
            name=n["NodeManagerHostname"], id=n["NodeID"], resources=n["Resources"],
            address=n["NodeManagerAddress"],
        )
        for n in ray.nodes()  # type: ignore[no-untyped-call]
        if n["Alive"]
    ]  # fmt: skip
    return sorted(
        alive, key=lambda node: (-node.resources.get(GPU, 0.0), -node.resources.get(CPU, 0.0), node.id)
    )


def may_come() -> Sequence[Node]:
    """List a node of each kind that the cluster's autoscaler may still start; none where there is no autoscaler."""
    known = state.get_cluster_config()
    groups = known.node_group_configs if known is not None else ()
    return [Node(name=one.name, id="", resources=dict(one.resources)) for one in groups if one.max_count]


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


class Head:
    """The head of a cluster, at `HOST:PORT`, and how long it has been silent."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._answered_at = time.monotonic()

    def answers(self, *, seconds: float = 2.0) -> bool:
        """Tell whether it answers now."""
        if not answers(self._address, seconds=seconds):
            return False
        self._answered_at = time.monotonic()
        return True

    @property
    def gone(self) -> str:
        """Why it is given up, in words; nothing while it may still come back."""
        silent = time.monotonic() - self._answered_at
        if silent <= HEAD_SECONDS:
            return ""
        return f"its head at {self._address} has not answered for {silent:.0f} s"


def many(number: int, thing: str) -> str:
    """Return a number of things in words: `1 node`, `2 nodes`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
