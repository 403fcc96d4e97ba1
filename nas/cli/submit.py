"""`nas submit`: run a search as a job of a Ray cluster, or print the files that make one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from search_spaces.errors import BadInput
from search_spaces.serialise import Json

from ..config import StudyConfig, load_config
from ..jobs import Job, Jobs
from ..manifests import kuberay, onprem
from ..shipping import Order, Package, check, command, files_of, inside, modules_of, on_the_cluster, pack
from .options import AsJson, on_cluster
from .search import split
from .show import complain, console, emit, facts, many, say

DONE, FAILED, INTERRUPTED = 0, 1, 130

Address = Annotated[
    str | None,
    typer.Option(metavar="URL", envvar="RAY_API_SERVER_ADDRESS", help="The cluster's dashboard."),
]
OnCluster = Annotated[
    str | None, typer.Option(metavar="DIR", help="On the cluster: a folder that all nodes share.")
]
Shared = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DIR", help="On the cluster: where paths of data may lie; without it, above --results."
    ),
]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Show what the job says.")]
Status = Annotated[str | None, typer.Option(metavar="ID", help="Say how a job is doing, and leave.")]
Stop = Annotated[str | None, typer.Option(metavar="ID", help="Stop a job; `nas resume` goes on with it.")]
PrintAs = Annotated[
    str | None, typer.Option("--print", metavar="kuberay|onprem", help="Print ready files, send nothing.")
]
WorkingDir = Annotated[Path, typer.Option(metavar="DIR", help="The folder that is sent.")]
LeaveOut = Annotated[
    list[str] | None, typer.Option(metavar="PATTERN", help="Files that are not sent, such as '*.ckpt'.")
]
Pip = Annotated[list[str] | None, typer.Option(metavar="PACKAGE", help="Ray installs it on the nodes.")]
Hosts = Annotated[str, typer.Option(metavar="HEAD,HOST,...", help="The machines of --print onprem.")]
User = Annotated[str, typer.Option(help="Who may log in there.")]
Image = Annotated[str | None, typer.Option(help="Of the pods of --print kuberay; it has archscale.")]
Claim = Annotated[str, typer.Option(help="The volume claim of --print kuberay.")]


def submit(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONFIG KEY=VALUE", help="As of `nas search`.", show_default=False),
    ] = None,
    address: Address = None,
    results: OnCluster = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name; without it, the config's and a number.")
    ] = None,
    shared: Shared = None,
    follow: Follow = True,
    status: Status = None,
    stop: Stop = None,
    print_as: PrintAs = None,
    working_dir: WorkingDir = Path(),
    leave_out: LeaveOut = None,
    pip: Pip = None,
    hosts: Hosts = "",
    user: User = "ray",
    image: Image = None,
    claim: Claim = "shared",
    as_json: AsJson = False,
) -> int:
    """Run a search as a job on a Ray cluster: the same file, from a machine that is no part of the cluster.

    The working folder is sent without data and results; there `nas search CONFIG --cluster auto` runs, which checks
    the cluster first. Leaving, or Ctrl-C, stops only the showing. See docs/cluster.md.

    nas submit mine.yaml --address http://10.0.0.5:8265 --results /mnt/shared/results --name first
    nas submit --status first-1a2b3c4d --address http://10.0.0.5:8265
    nas submit mine.yaml --print kuberay --results /mnt/shared/results execution.workers=8 > job.yaml
    """
    if status is not None and stop is not None:
        raise BadInput("got --status and --stop, expected one of them")
    if job_id := status or stop:
        return _told_of(Jobs(_given(address)), job_id, stopping=stop is not None, as_json=as_json)
    order, config = _ordered(
        arguments or [],
        home=working_dir.resolve(),
        name=name,
        results=results or "results",
        shared=shared or (),
    )
    if print_as is not None:
        machines = [host.strip() for host in hosts.split(",") if host.strip()]
        say(_printed(print_as, order, config, working_dir.resolve(), image, claim, machines, user).rstrip())
        return DONE
    jobs = Jobs(_given(address))
    needed = _needed(order, config, working_dir.resolve())
    package = pack(
        working_dir.resolve(), needed, leave_out=_without_data(config, leave_out or (), working_dir.resolve())
    )
    job = _begun(jobs, order, package, pip=pip or (), as_json=as_json)
    return _followed(jobs, job, as_json=as_json) if follow else DONE


def _ordered(
    arguments: Sequence[str], *, home: Path, name: str | None, results: str, shared: Sequence[str]
) -> tuple[Order, StudyConfig]:
    """Return what is to be run, and its config; what the cluster would not have is refused."""
    config_file, overrides = split(arguments)
    if config_file is None:
        raise BadInput(
            "got no config, expected one; `nas search --print-config > mine.yaml` makes one to begin with"
        )
    relative = Path(os.path.relpath(Path(config_file).resolve(), home))
    order = Order(
        config_file=relative,
        overrides=overrides,
        name=name or f"{_plain(relative.stem)}-{secrets.token_hex(3)}",
        results=_folder(results),
        shared=[_folder(one) for one in shared],
    )
    config = load_config(Path(config_file), on_cluster(overrides, "auto"))
    check(order, config, home)
    return order, config


def _printed(
    form: str, order: Order, config: StudyConfig, home: Path, image: str | None, claim: str,
    machines: Sequence[str], user: str,
) -> str:  # fmt: skip
    if form == "kuberay":
        return kuberay(order, config.execution, _texts(order, config, home), image=image, claim=claim)
    if form == "onprem":
        return onprem(order, config.execution, machines, user=user, config_file=order.config_file.as_posix())
    raise BadInput(f"--print: got {form!r}, expected kuberay or onprem")


def _begun(jobs: Jobs, order: Order, package: Package, *, pip: Sequence[str], as_json: bool) -> str:
    """Send a package, begin the job, and say what it is called."""
    version, sent = jobs.ray_version(), jobs.upload(package)
    runtime: dict[str, Json] = {"working_dir": package.uri} | ({"pip": list(pip)} if pip else {})
    line = command(order, config_file=order.config_file.as_posix())
    job = jobs.submit(line, job=f"{order.name}-{secrets.token_hex(4)}", runtime=runtime)
    size = {"files": package.files, "bytes": len(package.content)}
    if as_json:
        emit({"job": job, "run": order.name, "address": jobs.address, "command": line, "package": size})
    else:
        how = "sent" if sent else "there already"
        say(
            f"{job}: a job of the cluster at {jobs.address}, Ray {version}",
            f"{many(package.files, 'file')}, {len(package.content) / 1e6:.1f} MB, {how}; {line}",
            f"nas submit --status {job} --address {jobs.address}; --stop {job} stops it",
        )
    return job


def _followed(jobs: Jobs, job: str, *, as_json: bool) -> int:
    to = console(stderr=as_json)
    try:
        for text in jobs.follow(job):
            say(text.rstrip("\n"), to=to)
    except KeyboardInterrupt:
        complain(
            f"the job goes on; `nas submit --status {job} --address {jobs.address}` says how it is doing"
        )
        return INTERRUPTED
    return _code(jobs.job(job))


def _told_of(jobs: Jobs, job: str, *, stopping: bool, as_json: bool) -> int:
    """Say how a job is doing, stopped first where that is asked."""
    was_running = jobs.stop(job) if stopping else None
    found = jobs.job(job)
    if as_json:
        said: dict[str, Json] = {
            "job": job,
            "status": found.status,
            "message": found.message,
            "exit_code": found.exit_code,
        }
        emit(said | ({} if was_running is None else {"was_running": was_running}))
    else:
        rows = [("job", job), ("status", found.status.lower())]
        rows += [("message", " ".join(found.message.split()))] if found.message else []
        say(facts(rows))
        if not stopping:
            say(*jobs.log(job).splitlines()[-10:])
    return DONE


def _code(job: Job) -> int:
    if job.status == "SUCCEEDED":
        return DONE
    complain(f"{job.id}: {job.status.lower()}; {' '.join(job.message.split())[:500]}")
    if job.status == "STOPPED":
        return INTERRUPTED
    return job.exit_code or FAILED


def _needed(order: Order, config: StudyConfig, home: Path) -> Sequence[Path]:
    """List what a study reads of the working folder, which ships whatever is left out."""
    paths = [order.config_file, *(Path(p) for _, p in files_of(config) if not on_the_cluster(p, order))]
    return [inside(path, home, what="CONFIG") for path in paths]


def _texts(order: Order, config: StudyConfig, home: Path) -> Mapping[str, str]:
    """Return the texts of a study's files and modules, its config first."""
    modules = [Path(*module.split(".")).with_suffix(".py") for module in modules_of(config)]
    for module in modules:
        if not (home / module).is_file() and (home / module.parts[0]).exists():
            raise BadInput(
                f"{module}: a package, expected one file for a ConfigMap; build an image with it, --image"
            )
    paths = [*_needed(order, config, home), *(one for one in modules if (home / one).is_file())]
    return {path.as_posix(): (home / path).read_text(encoding="utf-8") for path in paths}


def _without_data(config: StudyConfig, leave_out: Sequence[str], home: Path) -> Sequence[str]:
    data = Path(config.data.path or "/").resolve()
    return [*leave_out, *([str(data.relative_to(home))] if data.is_relative_to(home) else [])]


def _given(address: str | None) -> str:
    if address is None:
        raise BadInput(
            "got no --address, expected that of the cluster's dashboard, such as http://10.0.0.5:8265"
        )
    return address


def _folder(text: str) -> PurePosixPath:
    if not text.isprintable() or ".." in PurePosixPath(text).parts:
        raise BadInput(f"got {text!r}, expected the plain path of a folder on the cluster")
    return PurePosixPath(text)


def _plain(stem: str) -> str:
    return (
        "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower()).strip("-")[:40] or "search"
    )
