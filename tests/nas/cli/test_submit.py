"""`nas submit` against a server that speaks the part of Ray's job API that is used, as Ray documents it."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import document

import nas.jobs as jobs
from nas.execution.token import MODE, TOKEN
from search_spaces.errors import ClusterError

SECRET = "3" * 64
DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
LOG = "trial 1 of 2: 0.91\ntrial 2 of 2: 0.93\n"


@dataclass
class Dashboard:
    """A Ray dashboard's job API: what it was sent, and how its jobs fare."""

    address: str = ""
    packages: dict[str, bytes] = field(default_factory=dict)
    submitted: list[dict[str, object]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    message: str = "Job finished successfully."
    exit_code: int | None = 0
    looks: int = 0
    fails: int = 0  # answers that are cut off first
    moved: bool = False

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        *_, what, last = path.rsplit("/", 2)
        if path == "/api/version":
            return 200, {"version": "4", "ray_version": "2.60.0", "ray_commit": "c", "session_name": "s"}
        if path.startswith("/api/packages/gcs/"):
            if method == "GET":
                return (200, None) if last in self.packages else (404, "Package does not exist")
            self.packages[last] = body
            return 200, None
        if (method, path) == ("POST", "/api/jobs/"):
            asked = json.loads(body)
            self.submitted.append(asked)
            return 200, {"job_id": asked["submission_id"], "submission_id": asked["submission_id"]}
        job = what if last in ("logs", "stop") else last
        if job not in [one["submission_id"] for one in self.submitted]:
            return 404, f"Job {job} does not exist"
        if last == "logs":
            return 200, {"logs": LOG[: len(LOG) * min(self.looks, 3) // 3]}
        if last == "stop":
            self.stopped.append(job)
            return 200, {"stopped": True}
        status = self.statuses[min(self.looks, len(self.statuses) - 1)]
        self.looks += 1
        return 200, {
            "type": "SUBMISSION", "submission_id": job, "status": status, "message": self.message,
            "driver_exit_code": self.exit_code,
        }  # fmt: skip


def handler_of(dashboard: Dashboard) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

        def answered(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if dashboard.fails:
                dashboard.fails -= 1
                return
            code, said = dashboard.answer(self.command, self.path, body)
            if self.headers.get("Authorization") != f"Bearer {SECRET}":
                code, said = (403 if "Authorization" in self.headers else 401), "Unauthorized"
            text = said if isinstance(said, str) else "" if said is None else json.dumps(said)
            self.send_response(302 if dashboard.moved else code)
            if dashboard.moved:
                self.send_header("Location", "http://198.51.100.7/")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = answered  # noqa: N815

    return Handler


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    made = Dashboard()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(made))
    made.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv(TOKEN, SECRET)
    monkeypatch.delenv(MODE, raising=False)
    monkeypatch.setattr(jobs.Jobs.follow, "__kwdefaults__", {"every": 0.01})
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.yaml").write_text("space: mixed\nexecution: {workers: 2, cluster: 'local:2'}\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "old").write_text("big")
    monkeypatch.chdir(tmp_path)
    return tmp_path


ON = ("--results", "/mnt/shared/results", "--name", "first")


@pytest.mark.usefixtures("study")
def test_a_study_is_sent_run_and_followed_to_its_end(dashboard, nas):
    code, out, err = nas("submit", "mine.yaml", "trials=2", *ON, "--address", dashboard.address)
    assert (code, err) == (0, "")
    (asked,) = dashboard.submitted
    assert asked["entrypoint"] == (
        "python -m nas search mine.yaml trials=2 --cluster auto --results /mnt/shared/results --name first"
    )
    (package,) = dashboard.packages
    assert asked["runtime_env"] == {"working_dir": f"gcs://{package}"}
    with zipfile.ZipFile(io.BytesIO(dashboard.packages[package])) as archive:
        assert archive.namelist() == ["mine.yaml"]
    said = out.splitlines()
    assert said[0] == f"{asked['submission_id']}: a job of the cluster at {dashboard.address}, Ray 2.60.0"
    assert said[-2:] == LOG.splitlines()


@pytest.mark.usefixtures("study")
def test_a_package_that_the_cluster_has_is_not_sent_again(dashboard, nas):
    given = ("submit", "mine.yaml", *ON, "--address", dashboard.address, "--no-follow")
    assert ", sent; " in nas(*given)[1]
    assert ", there already; " in nas(*given)[1]
    assert len(dashboard.packages) == 1
    assert len({one["submission_id"] for one in dashboard.submitted}) == 2


@pytest.mark.usefixtures("study")
def test_the_job_tells_its_exit_code_and_why(dashboard, nas):
    dashboard.statuses, dashboard.exit_code, dashboard.message = ["FAILED"], 3, "nothing keeps\nthe limits"
    code, _, err = nas("submit", "mine.yaml", *ON, "--address", dashboard.address)
    assert code == 3
    assert err.endswith(": failed; nothing keeps the limits\n")
    dashboard.statuses = ["STOPPED"]
    assert nas("submit", "mine.yaml", *ON, "--address", dashboard.address)[0] == 130


@pytest.mark.usefixtures("study")
def test_a_job_is_asked_about_and_stopped(dashboard, nas):
    _, out, _ = nas(
        "submit", "mine.yaml", *ON, "--address", dashboard.address, "--no-follow", "--json", "--pip", "a==1"
    )
    job = document(out)["job"]
    section = DOCS.read_text().partition("### `nas submit --json`")[2]
    documented = json.loads(section.partition("```json\n")[2].partition("```")[0])
    assert (set(documented), set(documented["package"])) == (
        set(document(out)),
        set(document(out)["package"]),
    )
    assert document(out)["run"] == "first"
    assert document(out)["package"]["files"] == 1
    assert dashboard.submitted[0]["runtime_env"]["pip"] == ["a==1"]
    code, out, _ = nas("submit", "--status", job, "--address", dashboard.address, "--json")
    assert (code, document(out)["status"]) == (0, "PENDING")
    code, out, _ = nas("submit", "--stop", job, "--address", dashboard.address, "--json")
    assert (code, document(out)["was_running"], dashboard.stopped) == (0, True, [job])
    code, out, _ = nas("submit", "--status", job, "--address", dashboard.address)
    assert "succeeded" in out
    code, _, err = nas("submit", "--status", "another", "--address", dashboard.address)
    assert (code, "Job another does not exist" in err) == (5, True)


@pytest.mark.usefixtures("study")
def test_a_network_that_fails_for_a_while_is_waited_for(dashboard, nas):
    _, out, _ = nas("submit", "mine.yaml", *ON, "--address", dashboard.address, "--no-follow", "--json")
    following = jobs.Jobs(dashboard.address).follow(document(out)["job"], every=0.01)
    dashboard.fails = 3
    assert "".join(following) == LOG
    dashboard.fails = 100
    with pytest.raises(ClusterError, match="no answer"):
        list(jobs.Jobs(dashboard.address).follow(document(out)["job"], every=0.01))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("mine.yaml",), 2, "--results: got results, expected the absolute path, on the cluster"),
        ((), 2, "got no config, expected one"),
        (("--status", "a", "--stop", "b"), 2, "got --status and --stop, expected one of them"),
        (("--status", "../../x"), 2, "expected a job's id"),
        (("mine.yaml", *ON, "--address", "10.0.0.5:8265"), 2, "expected that of a Ray dashboard"),
        (
            ("mine.yaml", *ON, "--address", "http://me:pw@10.0.0.5:8265"),
            2,
            "expected that of a Ray dashboard",
        ),
        (("mine.yaml", *ON, "--address", "http://127.0.0.1:9"), 5, "ssh -L 8265:localhost:8265"),
        (("mine.yaml", "--results", "/a\n/b"), 2, "expected the plain path of a folder"),
        (
            ("mine.yaml", *ON, "data={source: npz, path: x.npz}"),
            2,
            "data.path: got x.npz, which is not shipped",
        ),
        (("mine.yaml", *ON, "--print", "helm"), 2, "--print: got 'helm', expected kuberay or onprem"),
        (("mine.yaml", "--results", "/r/r", "--name", "../x"), 2, "name: got '../x'"),
    ],
)
@pytest.mark.usefixtures("study")
def test_what_cannot_be_sent_is_refused_in_one_message(dashboard, nas, arguments, code, message):
    if "--address" not in arguments:
        arguments = (*arguments, "--address", dashboard.address)
    found, out, err = nas("submit", *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert dashboard.submitted == []


@pytest.mark.usefixtures("study")
def test_a_token_is_shown_to_nobody_else_and_a_wrong_one_is_named(dashboard, nas, monkeypatch):
    given = ("submit", "mine.yaml", *ON, "--address", dashboard.address)
    dashboard.moved = True
    code, _, err = nas(*given)
    assert (code, "the cluster answered 302" in err) == (5, True)
    dashboard.moved = False
    monkeypatch.setenv(TOKEN, "4" * 64)
    code, _, err = nas(*given)
    assert (code, "refused our token" in err, "ray get-auth-token --generate" in err) == (5, True, True)


@pytest.mark.usefixtures("study")
def test_another_machine_without_a_token_is_refused_with_the_remedy(nas, monkeypatch, tmp_path):
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for mode, message in ((None, "there is no token here"), ("disabled", "RAY_AUTH_MODE is disabled")):
        monkeypatch.setenv(MODE, mode) if mode else monkeypatch.delenv(MODE, raising=False)
        code, _, err = nas("submit", "mine.yaml", *ON, "--address", "http://198.51.100.7:8265")
        assert (code, message in err, "ray get-auth-token --generate" in err) == (5, True, True)


def test_files_are_printed_from_the_same_config(study, nas):
    _, out, _ = nas("submit", "mine.yaml", "execution.gpus=1", *ON, "--print", "kuberay")
    assert "kind: RayJob" in out
    assert "execution: {workers: 2, cluster: 'local:2'}" in out
    _, out, _ = nas("submit", "mine.yaml", *ON, "--print", "onprem", "--hosts", "10.0.0.1, 10.0.0.2")
    assert "head_ip: 10.0.0.1" in out


def test_an_option_names_the_cluster_as_the_setting_does(nas, results):
    for cluster in ("local:3", "10.0.0.5:6379", "[::1]:6379"):
        code, out, _ = nas("search", "--cluster", cluster, "--print-config", "--json")
        assert (code, document(out)["config"]["execution"]["cluster"]) == (0, cluster)
    code, _, err = nas("search", "--cluster", "local:0")
    assert (code, "cluster: got 'local:0', expected auto, a host" in err) == (2, True)
    code, _, err = nas("resume", "stopped", "--cluster", "local:0", "--results", results)
    assert (code, "cluster: got 'local:0', expected auto, a host" in err) == (2, True)
    code, _, err = nas("doctor", "mine.yaml")
    assert (code, "got a study without a cluster" in err) == (2, True)
