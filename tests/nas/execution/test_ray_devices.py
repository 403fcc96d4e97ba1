"""Devices of a cluster: several for one trial, and one to itself for a measurement, which never overlaps another."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.config import StudyConfig, read_config
from nas.data.load import load_search_data
from nas.driver import StopSign, drive
from nas.execution.base import Ended, Executor
from nas.execution.token import MODE, TOKEN
from nas.journal import read
from nas.launch import create, describe_data, executor_for
from nas.measured import never
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate, Recipe
from nas.sharing import SharedTraining
from nas.workbench import Workbench
from scaling.timing import Latency, Settings
from search_spaces import Classifier, Conv, Network, Stage
from search_spaces.choice import Choice
from search_spaces.errors import BadInput
from search_spaces.graph import Norm
from search_spaces.serialise import to_data

ray = pytest.importorskip("ray")

from ray._raylet import AuthenticationTokenLoader, Config  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from nas.execution.ray_cluster import Node, leave  # noqa: E402
from nas.execution.ray_latency import ClusterDevice, apart, measured, measuring, request  # noqa: E402

NETWORK = Network(
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(norm=Norm(kind="group", groups=4)),), width=8),
    stages=(Stage(blocks=(Conv(norm=Norm(kind="group", groups=4)),), width=8, stride=2),),
    head=Classifier(classes=10),
)
SPACE = replace(NETWORK, stem=Stage(blocks=(Conv(kernel=Choice(3, 5)),), width=8))
SETTINGS = Settings(seconds=0.05)
STORE = 80 << 20  # bytes
on_cluster = pytest.mark.ray
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray leaves files and sockets to the garbage collector


def node(name: str, **resources: float) -> Node:
    return Node(name=name, id=name, resources=resources)


HEAD = node("head")
SMALL, LARGE = node("small", CPU=4), node("large", CPU=64)
GPUS = node("gpus", CPU=32, GPU=8)


@pytest.mark.parametrize(
    ("nodes", "kind", "names", "asked"),
    [
        ([GPUS, LARGE, SMALL, HEAD], "cpu", ["small", "large", "gpus"], {"CPU": 4}),
        ([GPUS, LARGE, SMALL, HEAD], "cuda", ["gpus"], {"CPU": 1, "GPU": 1}),
        ([SMALL, node("own", latency=1)], "cpu", ["own"], {"latency": 1, "CPU": 0}),
        ([SMALL, node("own", latency=2, CPU=8)], "cpu", ["own"], {"latency": 2, "CPU": 8}),
        ([GPUS, node("own", latency=1, GPU=1)], "cuda", ["own"], {"latency": 1, "CPU": 0, "GPU": 1}),
        ([GPUS, node("own", latency=1)], "cuda", ["gpus"], {"CPU": 1, "GPU": 1}),
        ([node("shares", CPU=4, GPU=0.5)], "cuda", [], {}),
    ],
)
def test_a_measurement_asks_for_a_whole_device_of_a_node_meant_for_it_or_else_of_the_smallest(
    nodes: list[Node], kind: str, names: list[str], asked: dict[str, float]
) -> None:
    found = measuring(nodes, kind)
    assert [one.name for one in found] == names
    assert not found or request(found[0], kind) == asked


def test_the_cluster_chooses_which_gpu() -> None:
    with pytest.raises(BadInput, match=r"latency\.device: got cuda:1, expected cpu or cuda"):
        ClusterDevice(cluster="auto", kind="cuda:1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Return a head with two processors and two made-up GPUs, and a node that is there to measure."""
    folder = tempfile.mkdtemp(prefix="r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODE, "token")
        patch.setenv(TOKEN, "5" * 64)
        read_again()
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2, "num_gpus": 2, "object_store_memory": STORE, "include_dashboard": False,
                "temp_dir": folder,
            },
        )  # fmt: skip
        made.add_node(num_cpus=0, resources={"latency": 1}, object_store_memory=STORE)
        yield made
        leave()
        made.shutdown()
    read_again()
    shutil.rmtree(folder, ignore_errors=True)


def read_again() -> None:
    """Have Ray, which is imported already, read the environment."""
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


def config(cluster: Cluster, *overrides: str) -> StudyConfig:
    said = (f"execution.cluster={cluster.address}", "execution.device=cpu", "data.limit=300", "epochs=1")
    return read_config("space: mixed", [*said, *overrides], source="test")


def until_ended(executor: Executor, seconds: float = 60) -> Ended:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for happened in executor.wait(0.2):
            if isinstance(happened, Ended):
                return happened
    raise AssertionError(f"nothing ended within {seconds} s")


def noting(folder: Path, seconds: float) -> Callable[[Network, Settings], Latency]:
    """Return what stands for measuring: it takes so long, and notes where and when."""

    def measure(network: Network, settings: Settings) -> Latency:
        began = time.time()
        where = ray.get_runtime_context().get_node_id()
        (folder / f"began-{began}").touch()
        time.sleep(seconds)
        with (folder / "noted").open("a") as file:
            file.write(f"{where} {began} {time.time()}\n")
        return measured(network, settings)

    return measure


def device(cluster: Cluster, folder: Path, seconds: float) -> ClusterDevice:
    return ClusterDevice(cluster=cluster.address, kind="cpu", measure=noting(folder, seconds))


def timed(device: ClusterDevice) -> Latency:
    found = device.timed(NETWORK, settings=SETTINGS, stopping=never)
    assert found is not None
    return found


@on_cluster
def test_two_devices_train_what_one_trains_and_a_supernet_has_one_of_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    asked = config(cluster, "execution.gpus=2")
    executor = executor_for(asked, tmp_path, {"data": describe_data(asked)})
    try:
        candidate = Candidate(network=NETWORK, recipe=Recipe(batch=32))
        proposal = Proposal(number=0, kind=Kind.TRAIN, candidate=candidate, epochs=2, seed=0)
        executor.submit(proposal, 0)
        split = until_ended(executor).outcome
        assert split.status is Status.DONE, split.note
        shared = Proposal(
            number=1,
            kind=Kind.SUPERNET,
            candidate=Candidate(network=SPACE),
            epochs=1,
            seed=0,
            settings=SharedTraining(),
        )
        executor.submit(shared, 0)
        assert until_ended(executor).outcome.note == "on one of 2 devices"
    finally:
        executor.close()
    setup: dict[str, Any] = {
        "data": to_data(asked.data), "device": "cpu", "folder": str(tmp_path / "alone"), "threads": 1,
        "fingerprint": load_search_data(asked.data).fingerprint, "trial_seconds": None,
    }  # fmt: skip
    alone = Workbench.of(setup).run(proposal, lambda *_: None)
    same = {name: value for name, value in alone.metrics.items() if name != "train_seconds"}
    assert {name: split.metrics[name] for name in same} == pytest.approx(same, rel=1e-3)


@on_cluster
def test_two_measurements_at_once_come_one_after_the_other_on_the_node_meant_for_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    both = [device(cluster, tmp_path, 1.0) for _ in range(2)]
    assert both[0].key == both[1].key
    threads = [threading.Thread(target=timed, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    first, second = sorted(
        (line.split() for line in (tmp_path / "noted").read_text().splitlines()), key=lambda x: x[1]
    )
    meant = [one["NodeID"] for one in ray.nodes() if one["Alive"] and "latency" in one["Resources"]]
    assert [first[0]] == [second[0]] == meant
    assert float(first[2]) <= float(second[1])
    assert apart(cluster.address, "cpu")


@on_cluster
def test_a_stop_while_a_measurement_waits_for_its_device_is_heard_at_once(
    cluster: Cluster, tmp_path: Path
) -> None:
    waiting = device(cluster, tmp_path / "waits", 0.0)
    assert waiting.key
    busy = threading.Thread(target=timed, args=(device(cluster, tmp_path, 6.0),))
    busy.start()
    until_begun(tmp_path)
    began = time.monotonic()
    assert waiting.timed(NETWORK, settings=SETTINGS, stopping=lambda: time.monotonic() > began + 1) is None
    assert time.monotonic() < began + 5
    busy.join(60)
    assert not (tmp_path / "waits").exists()


def until_begun(folder: Path, count: int = 1) -> None:
    until = time.monotonic() + 30
    while len(list(folder.glob("began-*"))) < count and time.monotonic() < until:
        time.sleep(0.05)


@on_cluster
def test_a_measurement_whose_node_dies_is_made_on_another_and_trials_beside_it_starve_it_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    one, found = device(cluster, tmp_path, 2.0), []
    assert one.key
    thread = threading.Thread(target=lambda: found.append(timed(one)))
    thread.start()
    until_begun(tmp_path)
    meant = next(n for n in cluster.list_all_nodes() if n.node_id != cluster.head_node.node_id)
    cluster.remove_node(meant, allow_graceful=False)
    thread.join(90)
    assert found
    assert found[0].device == one.key
    (noted,) = (tmp_path / "noted").read_text().splitlines()
    assert noted.split()[0] == cluster.head_node.node_id

    # Only the head is left, whose processors trials and measurements now share.
    assert not apart(cluster.address, "cpu")
    asked = config(
        cluster, "trials=2", "confirm.top=0", "final.of=none", "latency.seconds=0.05", "strategy=random",
        "recipe.batch=64",
    )  # fmt: skip
    study, folder = create(asked, name="run", results=tmp_path)
    executor, stop = executor_for(asked, folder, study.journal.header), StopSign()
    threading.Timer(150, lambda: setattr(stop, "raised", True)).start()
    assert drive(study, executor, watch=lambda *_: None, stop=stop) == "finished"
    study.journal.close()
    kinds = [event.type for event in read(folder)]
    assert kinds.count("measured") == 3  # the winner again
    assert kinds.count("tell") == 2
