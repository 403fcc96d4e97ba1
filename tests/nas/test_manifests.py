"""Ready files for clusters: they keep to their schemas, and say what the study's config asks."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nas.config import Execution
from nas.manifests import STUDY, kuberay, onprem, pods
from nas.shipping import Order
from search_spaces.errors import BadInput

GOLDEN = Path(__file__).parents[1] / "golden" / "rayjob_v1.schema.json"
RAYJOB = json.loads(GOLDEN.read_text(encoding="utf-8"))


def order(*overrides: str, name: str = "first", shared: tuple[str, ...] = ()) -> Order:
    return Order(
        config_file=Path("mine.yaml"),
        overrides=overrides,
        name=name,
        results=PurePosixPath("/mnt/shared/results"),
        shared=[PurePosixPath(one) for one in shared],
    )


def on_a_cluster(**asked: object) -> Execution:
    return Execution(cluster="auto", **{"workers": 4, **asked})  # type: ignore[arg-type]


def ray_schema() -> dict[str, object]:
    spec = find_spec("ray")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("Ray is not installed")
    path = Path(spec.submodule_search_locations[0]) / "autoscaler" / "ray-schema.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_rayjob_keeps_to_kuberays_schema_and_holds_the_study() -> None:
    files = {"mine.yaml": "space: spaces/a.yaml\ntrials: 3\n", "spaces/a.yaml": "input: [1, 8, 8]\n"}
    said = kuberay(order("trials=9", shared=("/mnt/shared", "/data")), on_a_cluster(threads=2, gpus=1), files)
    study, job = yaml.safe_load_all(said)
    jsonschema.validate(job, RAYJOB)
    words = shlex.split(job["spec"]["entrypoint"])
    assert words == [
        "cd", str(STUDY), "&&", "python", "-m", "nas", "search", "mine.yaml", "trials=9", "--cluster", "auto",
        "--results", "/mnt/shared/results", "--name", "first",
    ]  # fmt: skip
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    container = group["template"]["spec"]["containers"][0]
    assert (group["replicas"], container["resources"]["limits"]["nvidia.com/gpu"]) == (4, "1")
    assert container["resources"]["limits"]["cpu"] == "2"
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [str(STUDY), "/mnt/shared", "/data"]
    items = group["template"]["spec"]["volumes"][0]["configMap"]["items"]
    assert {item["path"]: study["data"][item["key"]] for item in items} == files
    assert study["metadata"]["name"] == group["template"]["spec"]["volumes"][0]["configMap"]["name"]
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_files_say_where_archscale_must_be_and_an_image_brings_it() -> None:
    installed, brought = (
        kuberay(order(), on_a_cluster(), {"mine.yaml": ""}, image=image) for image in (None, "mine:1")
    )
    own = onprem(order(), on_a_cluster(), ["a", "b"], user="me", config_file="mine.yaml")
    for said in (installed, own):
        comments = [line for line in said.splitlines() if line.startswith("# ")]
        assert any(f"archscale=={version('archscale')}" in line and "index" in line for line in comments)
    assert "archscale==" not in brought


@given(
    st.text(), st.lists(st.text(), max_size=3), st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
)
def test_no_text_of_a_user_gets_out_of_its_place(text: str, overrides: list[str], name: str) -> None:
    try:
        said = kuberay(order(*overrides, name=name), on_a_cluster(), {"mine.yaml": text})
        study, job = yaml.safe_load_all(said)
    except yaml.reader.ReaderError:  # a text that no YAML may hold
        pytest.fail("what was written cannot be read")
    jsonschema.validate(job, RAYJOB)
    assert study["data"] == {"file-0": text}
    words = shlex.split(job["spec"]["entrypoint"].partition("&& ")[2])
    assert words[5 : 5 + len(overrides)] == overrides
    assert words[-1] == name


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"workers": 4, "threads": 2}, (4, 2, 0)),
        ({"workers": 8, "gpus": 0.25, "threads": 3}, (2, 12, 1)),
        ({"workers": 3, "gpus": 0.25}, (1, 3, 1)),
        ({"workers": 2, "gpus": 4, "threads": 8}, (2, 32, 4)),  # so many threads for each device
        ({"workers": 5, "gpus": 0.4}, (3, 2, 1)),
    ],
)
def test_pods_hold_what_the_trials_ask_for(asked: dict[str, object], expected: tuple[int, int, int]) -> None:
    assert pods(on_a_cluster(**asked)) == expected


def test_what_cannot_be_written_down_is_refused() -> None:
    with pytest.raises(BadInput, match=r"execution\.workers: got none, expected how many"):
        kuberay(order(), on_a_cluster(workers=None), {"mine.yaml": ""})
    with pytest.raises(BadInput, match=r"big\.yaml: the study's files are more than 900 kB"):
        kuberay(order(), on_a_cluster(), {"mine.yaml": "", "big.yaml": "x" * 1_000_000})
    for hosts, message in [
        (["10.0.0.1"], "expected the head and"),
        (["a;b", "c"], "got 'a;b', expected names"),
    ]:
        with pytest.raises(BadInput, match=message):
            onprem(order(), on_a_cluster(), hosts, user="me", config_file="mine.yaml")


def test_a_cluster_of_ones_own_keeps_to_rays_schema_and_opens_no_dashboard() -> None:
    said = onprem(order(), on_a_cluster(), ["10.0.0.1", "10.0.0.2", "n3"], user="me", config_file="mine.yaml")
    made = yaml.safe_load(said)
    jsonschema.validate(made, ray_schema())
    assert made["provider"] == {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "n3"]}
    head, worker = made["head_start_ray_commands"][-1], made["worker_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in said
    assert all(line.startswith("RAY_AUTH_MODE=token ray start") for line in (head, worker))
    assert "~/.ray/auth_token" in made["file_mounts"]


@pytest.mark.parametrize("spoilt", ["authOptions", "workerGroupSpecs"])
def test_the_schema_refuses_a_rayjob_without_what_matters(spoilt: str) -> None:
    _, job = yaml.safe_load_all(kuberay(order(), on_a_cluster(), {"mine.yaml": ""}))
    del job["spec"]["rayClusterSpec"][spoilt]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, RAYJOB)
