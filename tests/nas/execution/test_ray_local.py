"""A cluster of this machine alone: nobody else can reach it, and it asks for a token."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from listening import sockets_of

ray = pytest.importorskip("ray")

from nas.execution import ray_cluster  # noqa: E402
from nas.execution.ray_cluster import Head, join, leave  # noqa: E402
from nas.execution.token import MODE, own_file, token  # noqa: E402
from search_spaces.errors import ClusterError  # noqa: E402

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def _joined() -> Iterator[None]:
    join("local:1")
    ray.get(ray.remote(lambda: 1).remote())
    yield
    leave()


def test_everything_that_listens_listens_on_the_loopback_address() -> None:
    found = sorted(set(sockets_of(os.getpid())))
    assert {kind for kind, _ in found} >= {"driver", "gcs_server", "raylet", "worker"}
    assert {address for _, address in found} == {"127.0.0.1"}, found


def test_a_token_is_on_and_only_its_owner_may_read_it() -> None:
    assert os.environ[MODE] == "token"
    assert token()
    if own_file().exists():
        assert own_file().stat().st_mode & 0o077 == 0


def test_it_runs_no_dashboard() -> None:
    assert ray.nodes()[0]["NodeManagerAddress"] == "127.0.0.1"
    assert not ray._private.worker.global_worker.node.webui_url


def test_where_nobody_listens_is_said_at_once() -> None:
    leave()
    with pytest.raises(ClusterError, match=r"nobody answers at 127\.0\.0\.1:9; is a head running there"):
        join("127.0.0.1:9")


def test_a_head_is_given_up_only_after_a_long_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        head = Head(f"127.0.0.1:{listening.getsockname()[1]}")
        assert head.answers()
    assert not head.answers()
    assert not head.gone
    monkeypatch.setattr(ray_cluster, "HEAD_SECONDS", 0.0)
    assert "has not answered for 0 s" in head.gone
