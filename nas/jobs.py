"""Ray's jobs, by the documented REST API of its dashboard; needs no Ray here."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TypeVar, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from search_spaces.errors import BadInput, ClusterError
from search_spaces.serialise import Json

from .execution.token import REMEDY, is_here, refuse_without, switched_off, token
from .shipping import Package

SECONDS = 30.0  # for one answer
MOST_BYTES = 64 << 20  # of one answer
LOOK_SECONDS = 2.0  # between two looks at a job's log
TRIES = 5  # of one look, where the network fails in between
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
WHERE = (
    "`ray start --head --include-dashboard=true` begins one on port 8265 where ray[default] is installed; where it "
    "listens on the head alone, `ssh -L 8265:localhost:8265 HEAD` brings it here as http://localhost:8265"
)
T = TypeVar("T")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job, as the cluster tells of it."""

    id: str
    status: str
    message: str
    exit_code: int | None

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED


class Jobs:
    """The jobs of one cluster, at `http://HOST:8265`."""

    def __init__(self, address: str) -> None:
        self.address = _checked(address)
        self._opener = build_opener(_NoRedirect)
        host = cast(str, urlsplit(self.address).hostname)
        if not is_here(host):
            refuse_without(self.address)
        shown = None if switched_off() else token()
        self._headers = {"Authorization": f"Bearer {shown}"} if shown else {}

    def ray_version(self) -> str:
        """Return the Ray version of the cluster."""
        return str(self._ask("GET", "/api/version").get("ray_version", "unknown"))

    def upload(self, package: Package) -> bool:
        """Give the cluster a package, unless it has it; return whether it was sent."""
        path = f"/api/packages/gcs/{package.name}"
        if self._call("GET", path, missing=None) is not None:
            return False
        self._call("PUT", path, body=package.content)
        return True

    def submit(self, command: str, *, job: str, runtime: Mapping[str, Json]) -> str:
        """Begin a job and return its id."""
        asked: dict[str, Json] = {
            "entrypoint": command,
            "submission_id": job,
            "runtime_env": dict(runtime),
            "metadata": {"nas": "search"},
        }
        return str(self._ask("POST", "/api/jobs/", asked).get("submission_id", job))

    def job(self, job: str) -> Job:
        """Return how a job is doing."""
        said = self._ask("GET", f"/api/jobs/{_id(job)}")
        code = said.get("driver_exit_code")
        return Job(
            id=job, status=str(said.get("status")), message=str(said.get("message") or ""),
            exit_code=code if isinstance(code, int) else None,
        )  # fmt: skip

    def log(self, job: str) -> str:
        """Return all that a job has said so far."""
        return str(self._ask("GET", f"/api/jobs/{_id(job)}/logs").get("logs") or "")

    def stop(self, job: str) -> bool:
        """Stop a job, which then writes down what was told; return whether it was running."""
        return bool(self._ask("POST", f"/api/jobs/{_id(job)}/stop").get("stopped"))

    def follow(self, job: str, *, every: float = LOOK_SECONDS) -> Iterator[str]:
        """Yield what a job says, in whole lines, until it is over; a network that fails for a while is waited for."""
        said = 0
        while True:
            over = self._patiently(lambda: self.job(job), every).ended
            text = self._patiently(lambda: self.log(job), every)
            whole = len(text) if over else text.rfind("\n") + 1
            if whole > said:
                yield text[said:whole]
                said = whole
            if over:
                return
            time.sleep(every)

    def _patiently(self, look: Callable[[], T], every: float) -> T:
        for _ in range(TRIES - 1):
            try:
                return look()
            except _NoAnswer:
                time.sleep(every)
        return look()

    def _ask(self, method: str, path: str, body: Mapping[str, Json] | None = None) -> dict[str, Json]:
        answer = self._call(method, path, body=None if body is None else json.dumps(body).encode())
        try:
            said = json.loads(answer or b"")
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise ClusterError(
                f"{self.address}: what answers there is no Ray dashboard; give the address of one, {WHERE}"
            )
        return said

    def _call(
        self, method: str, path: str, *, body: bytes | None = None, missing: str | None = "no such job"
    ) -> bytes | None:
        """Return an answer's body; None where there is nothing of that name and `missing` is None."""
        kind = "application/octet-stream" if method == "PUT" else "application/json"
        request = Request(
            self.address + path, data=body, method=method, headers={**self._headers, "Content-Type": kind}
        )
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                return cast(bytes, answer.read(MOST_BYTES))
        except HTTPError as error:
            if error.code == 404 and missing is None:
                return None
            raise self._refused(error, path) from None
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise _NoAnswer(
                f"{self.address}: no answer ({reason}); is a dashboard running there? {WHERE}"
            ) from None

    def _refused(self, error: HTTPError, path: str) -> ClusterError:
        if error.code in (401, 403):
            return ClusterError(f"{self.address}: refused our token, or that there is none; {REMEDY}")
        said = " ".join(error.read(2000).decode(errors="replace").split())[-300:]
        if error.code == 404:
            return ClusterError(
                f"{self.address}{path}: there is no such thing there ({said or 'not found'}); is it a job's id?"
            )
        return ClusterError(f"{self.address}{path}: the cluster answered {error.code}: {said}")


class _NoAnswer(ClusterError):
    """Nobody answered, which may pass."""


class _NoRedirect(HTTPRedirectHandler):
    """Follows nobody elsewhere, for the token goes along."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> None:
        """Follow no redirection: it is an error then."""


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise BadInput(
            f"--address: got {address!r}, expected that of a Ray dashboard, such as http://10.0.0.5:8265"
        )
    return address.rstrip("/")


def _id(job: str) -> str:
    if not ID.fullmatch(job):
        raise BadInput(f"got {job!r}, expected a job's id, as `nas submit` has said it")
    return quote(job, safe="")
