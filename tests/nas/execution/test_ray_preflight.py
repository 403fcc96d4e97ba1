"""What is tried on a cluster before a run: three nodes with made-up GPUs, one of which falls silent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from listening import sockets_of

from nas.__main__ import run
from nas.cli.doctor import ON_A_CLUSTER
from nas.config import read_config
from nas.execution import node_probe
from nas.execution.node_probe import probe
from nas.execution.token import MODE, TOKEN, TOKEN_FILE
from nas.launch import create, reopen
from search_spaces.errors import ClusterError

ray = pytest.importorskip("ray")

from ray._raylet import AuthenticationTokenLoader, Config  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from nas.execution import ray_preflight  # noqa: E402
from nas.execution.ray_cluster import Node, _why, join, leave  # noqa: E402
from nas.execution.ray_preflight import Needs, Preflight, impossible, preflight  # noqa: E402
from nas.execution.ray_trial import Share  # noqa: E402

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]
SECRET = "5" * 64
SMALL = {"object_store_memory": 80_000_000, "include_dashboard": False}


@dataclass(frozen=True)
class Made:
    """A cluster of processes, and the node with GPUs."""

    address: str
    gpu_node: Any


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODE, "token")
        patch.setenv(TOKEN, SECRET)
        _read_again()
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **SMALL})
        gpu_node = cluster.add_node(num_cpus=1, num_gpus=1, **SMALL)
        join(cluster.address)
        yield Made(cluster.address, gpu_node)
        leave()
        cluster.shutdown()
    _read_again()


def _read_again() -> None:
    """Have Ray, which is imported already, read the environment."""
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


def looked(made: Made, needs: Needs, *, at: str) -> str:
    looking = Preflight(made.address, needs)
    try:
        for name, look in looking.looks():
            found = look()
            if name == at:
                return found
    finally:
        looking.close()
    raise AssertionError(f"nothing looks at {at}")


def test_every_look_at_a_sound_cluster_says_what_was_found(made: Made, tmp_path: Path) -> None:
    (tmp_path / "data.npz").touch()
    needs = Needs(results=tmp_path / "results", data=str(tmp_path / "data.npz"), modules=("json",))
    assert looked(made, needs, at="cluster").endswith("2 nodes, 3 CPU, 1 GPU")
    assert looked(made, needs, at="requests").startswith("3 trials of 1 CPU fit side by side, on 2 nodes")
    assert looked(made, needs, at="token") == "on"
    assert looked(made, needs, at="nodes").startswith("the same everywhere: python 3.")
    assert looked(made, needs, at="shared").endswith("is the same folder on every node, and writable")
    assert looked(made, needs, at="code") == "archscale and json can be imported everywhere"
    assert looked(made, needs, at="data").endswith("data.npz can be read everywhere")
    assert preflight(made.address, needs) == []
    assert list((tmp_path / "results").iterdir()) == []


def test_what_no_node_can_ever_run_is_refused_with_what_each_has(made: Made, tmp_path: Path) -> None:
    needs = Needs(
        results=tmp_path, share=Share(cpus=2, gpus=1)
    )  # there are 3 CPUs and a GPU, but on two nodes
    with pytest.raises(
        ClusterError, match="each trial asks for 2 CPUs and 1 GPU, and no node has"
    ) as refused:
        preflight(made.address, needs)
    _, *rows = str(refused.value).splitlines()
    assert [row.split()[1:] for row in rows] == [["1", "CPU", "1", "GPU"], ["2", "CPU", "0", "GPU"]]
    assert looked(made, replace(needs, share=Share(gpus=0.25)), at="requests").startswith("1 trial")
    assert looked(made, replace(needs, share=Share(cpus=2)), at="requests").startswith("1 trial")


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"modules": ("json", "no_module_of_mine")}, "no_module_of_mine, which the config names, cannot be"),
        ({"modules": ("no_package.inner",)}, r"ModuleNotFoundError: No module named 'no_package'"),
        (
            {"data": "/no/such/data"},
            "data.path: /no/such/data: No such file or directory; expected a path that",
        ),
    ],
)
def test_what_a_trial_would_not_find_is_named_with_its_node(
    made: Made, tmp_path: Path, needs: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ClusterError, match=message) as refused:
        preflight(made.address, Needs(results=tmp_path, **needs))
    assert str(refused.value).startswith(os.uname().nodename)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_the_cluster_cannot_serve_leaves_no_run_behind(made: Made, tmp_path: Path) -> None:
    def config(*more: str) -> Any:
        on = [f'execution.cluster="{made.address}"', *more]
        return read_config("space: mixed", ["epochs=1", "trials=1", *on], source="test")

    with pytest.raises(ClusterError, match="each trial asks for 2 CPUs and 2 GPUs"):
        create(config("execution.gpus=2"), name="one", results=tmp_path)
    assert list(tmp_path.iterdir()) == []
    study, folder = create(config("execution.gpus=1"), name="one", results=tmp_path)
    study.journal.close()
    with pytest.raises(ClusterError, match="each trial asks for 64 CPUs"):
        reopen(folder, ["execution.threads=64", "execution.gpus=0"])
    study, _ = reopen(folder)  # the refused try has let go of the journal, and changed nothing
    study.journal.close()


def test_a_node_that_hangs_is_named_within_the_limit(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_preflight, "NODE_SECONDS", 2.0)
    raylet = made.gpu_node.all_processes["raylet"][0].process.pid
    os.kill(raylet, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(ClusterError, match=r"\) did not answer within 2 s; is the machine up"):
            preflight(made.address, Needs(results=tmp_path))
        assert time.monotonic() - began < 10
    finally:
        os.kill(raylet, signal.SIGCONT)


def test_what_listens_on_all_interfaces_is_what_the_security_notes_name(made: Made) -> None:
    ray.get(ray.remote(lambda: 1).remote())
    open_ones = {kind for kind, address in sockets_of(os.getpid()) if address in ("0.0.0.0", "::")}
    text = (Path(__file__).parents[3] / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", text.partition("listen on all interfaces")[2], re.MULTILINE)
    assert open_ones == set(rows) == {"driver", "gcs_server", "raylet", "worker"}


def test_a_wrong_token_is_refused_with_the_remedy_and_leaves_no_run(made: Made, tmp_path: Path) -> None:
    given = ["search", "trials=1", "--cluster", made.address, "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "nas", *given], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, TOKEN: "6" * 64, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith(f"nas: execution.cluster: {made.address} refused our token")
    assert "ray get-auth-token --generate" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_the_doctor_looks_at_a_cluster_for_a_study(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas.cli.doctor._looks", lambda _: [])
    given = ["doctor", "--cluster", made.address, "--results", str(tmp_path), "--json"]
    assert run(given) == 0
    said = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in said["checks"]] == list(ON_A_CLUSTER)
    (tmp_path / "mine.yaml").write_text("space: mixed\nexecution: {gpus: 4, cluster: auto}\n")
    assert run([given[0], str(tmp_path / "mine.yaml"), *given[1:]]) == 5
    out, err = capsys.readouterr()
    bad = [check["name"] for check in json.loads(out)["checks"] if not check["ok"]]
    assert bad == ["requests"]
    assert "4 CPUs and 4 GPUs, and no node has that" in err


def test_a_refusal_is_told_from_a_mismatch() -> None:
    for said in ("InvalidAuthToken: Authentication token is missing or incorrect",):
        text = _why("10.0.0.5", ConnectionError("Failed to connect to Ray cluster at 10.0.0.5:6379"), said)
        assert text.startswith("10.0.0.5 refused our token")
        assert "ray get-auth-token --generate" in text
    mismatch = RuntimeError(
        "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1\n"
    )
    assert "Ray: 2.9.0 Python: 3.10.1" in _why("10.0.0.5", mismatch, "")


class Answering(Preflight):
    """A look at nodes whose answers are made up."""

    def __init__(self, needs: Needs, **told: object) -> None:
        super().__init__("10.0.0.5", needs)
        ours = probe(
            "a", {"home": "/nowhere", "results": str(needs.results), "seen": "s", "modules": [], "data": None}
        )
        here = Node(name="head", id="a", resources={"CPU": 4.0}, address="127.0.0.1")
        self._alive = [here, Node(name="far", id="b", resources={"CPU": 4.0}, address="198.51.100.7")]
        self._said = {"a": ours | {"token": True}, "b": ours | {"token": True} | told}


@pytest.mark.parametrize(
    ("told", "look", "message"),
    [
        (
            {"versions": {"torch": "2.9.0"}},
            "versions",
            r"far has torch 2\.9\.0, expected as here: .*torch 2\.",
        ),
        (
            {"archscale": "No module named 'nas'"},
            "versions",
            r"far: archscale cannot be imported .* `nas submit --pip",
        ),
        (
            {"storage": "Read-only file system"},
            "storage",
            r"far: /.*: Read-only file system; expected the results",
        ),
        ({"storage": ""}, "storage", "far: /.*: what is written there is not seen here"),
        (
            {"token": False},
            "token",
            r"far \(198.51.100.7\) run without one, so whoever reaches .* get-auth-token",
        ),
    ],
)
def test_a_node_that_differs_is_refused_by_name(
    tmp_path: Path, told: Mapping[str, object], look: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.execution.node_probe.LOOK_SECONDS", 0.0)
    looking = Answering(Needs(results=tmp_path), **told)
    (tmp_path / f"{looking._seen}-a").touch()
    looking._said = {**looking._said, "a": {**looking._said["a"], "storage": ""}}  # type: ignore[dict-item, index]
    with pytest.raises(ClusterError, match=message):
        getattr(looking, look)()


def test_a_folder_of_the_same_name_on_another_disk_is_seen_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.execution.node_probe.LOOK_SECONDS", 0.0)
    asked = {"home": "/nowhere", "seen": "there", "modules": [], "data": None}
    assert probe("n", {**asked, "results": str(tmp_path)})["storage"] == (
        "a folder of that name, but not the one that the driver writes to"
    )
    (tmp_path / "there").touch()
    assert probe("n", {**asked, "results": str(tmp_path)})["storage"] == ""
    assert probe("n", {**asked, "results": str(tmp_path / "none")})["storage"] == "there is no such folder"


def test_a_node_that_has_nothing_of_ours_can_still_answer(tmp_path: Path) -> None:
    asked = {
        "home": "/nowhere",
        "results": str(tmp_path),
        "seen": "s",
        "modules": ["search_spaces"],
        "data": None,
    }
    (tmp_path / "s").touch()
    (tmp_path / "asked").write_bytes(ray.cloudpickle.dumps((node_probe.probe, asked)))
    bare = (
        "import sys, json, pickle; sys.modules.update({'nas': None, 'search_spaces': None})\n"
        "probe, asked = pickle.load(open(sys.argv[1], 'rb')); print(json.dumps(probe('n', asked)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", bare, str(tmp_path / "asked")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["archscale"].startswith("ModuleNotFoundError: No module named 'nas")
    assert list(said["modules"]) == ["search_spaces"]
    assert said["versions"]["ray"] == ray.__version__


def test_the_table_of_nodes_says_what_the_autoscaler_may_add() -> None:
    some = [Node(name=f"n{i}", id=str(i), resources={"CPU": 4.0}) for i in range(20)]
    said = impossible(Share(gpus=8), some, [Node(name="a100", id="", resources={"CPU": 96.0, "GPU": 4.0})])
    assert "and 8 more, none larger" in said
    assert "  a100 (may come)    96 CPU     4 GPU" in said
    assert len(said.splitlines()) == 1 + 12 + 1 + 1
    assert TOKEN_FILE not in said
