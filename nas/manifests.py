"""Ready files for a search on a cluster that is yet to be: for KubeRay, and for machines of one's own."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import PurePosixPath

import yaml

from search_spaces.errors import BadInput
from search_spaces.serialise import Json

from .config import Execution
from .shipping import Order, command

STUDY = PurePosixPath("/home/ray/study")  # where the study's files lie in a pod
MOST_BYTES = 900_000  # of a ConfigMap, which may hold 1 MiB
MEMORY_GB = 4  # for each processor of a pod
SLEEP_SECONDS = 600  # that the pods stay after the search, for their logs
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9a-fA-F:]{2,39}")
ODD = re.compile("[\r\x85\u2028\u2029\ufeff]")  # line ends that YAML would make into others
Document = dict[str, Json]


def kuberay(
    order: Order,
    execution: Execution,
    files: Mapping[str, str],
    *,
    image: str | None = None,
    claim: str = "shared",
) -> str:
    """Return a ConfigMap of a study's files and a RayJob that runs it, as YAML for `kubectl apply`.

    `files` are texts by their path in the study, its config first. `claim` names a volume that many pods can write to.
    KubeRay, API reference of ray.io/v1: RayJobSpec, RayClusterSpec; `authOptions` since KubeRay 1.5.1.
    """
    if sum(len(text.encode()) for text in files.values()) > MOST_BYTES:
        largest = max(files, key=lambda path: len(files[path]))
        raise BadInput(
            f"{largest}: the study's files are more than {MOST_BYTES / 1e3:.0f} kB, which is what a ConfigMap holds; "
            "put them into an image, --image, or send them with `nas submit --address`"
        )
    name = re.sub(r"[^a-z0-9-]+", "-", order.name)[:40].strip("-")
    config_file = next(iter(files))
    spec: Document = {
        "entrypoint": f"cd {STUDY} && {command(order, config_file=config_file)}",
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": SLEEP_SECONDS,
        "backoffLimit": 0,
        "rayClusterSpec": _cluster(order, execution, files, name=name, image=image, claim=claim),
    }
    if image is None:
        spec["runtimeEnvYAML"] = yaml.safe_dump({"pip": [_ourselves()]})
    job: Document = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name}, "spec": spec}
    study: Document = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-study"},
        "data": {f"file-{i}": text for i, text in enumerate(files.values())},
    }  # fmt: skip
    says = (
        f"The search {order.name} as a RayJob: kubectl apply -f THIS. KubeRay 1.5.1 or later; it makes the token.",
        f"The volume claim {claim} must be there, ReadWriteMany: it is {order.folders[0]} in every pod, and the run",
        f"stays in {order.results / order.name}. After a failure go on with `resume {order.name}` in search's place.",
        *([f"Pods install {_ourselves()}, from an index that their pip asks."] if image is None else []),
    )
    return _comments(says) + _dumped(study, job)


def onprem(order: Order, execution: Execution, hosts: Sequence[str], *, user: str, config_file: str) -> str:
    """Return a cluster's YAML for `ray up`, on machines reached by SSH; the first is the head.

    Its form is Ray's own, ray/autoscaler/ray-schema.json, with the provider `local`.
    """
    for host in hosts:
        if not HOST.fullmatch(host):
            raise BadInput(f"--hosts: got {host!r}, expected names or addresses with commas between them")
    if len(hosts) < 2 or len(set(hosts)) < len(hosts):
        raise BadInput(
            f"--hosts: got {','.join(hosts) or 'none'}, expected the head and one machine or more, such as "
            "--hosts 10.0.0.1,10.0.0.2; on one machine, `nas search --cluster local:N` needs no file"
        )
    shared = [f"test -w {_quoted(folder)}" for folder in order.folders]
    start = "RAY_AUTH_MODE=token ray start --disable-usage-stats"
    made: Document = {
        "cluster_name": order.name,
        "provider": {"type": "local", "head_ip": hosts[0], "worker_ips": list(hosts[1:])},
        "auth": {"ssh_user": user},
        "max_workers": len(hosts) - 1,
        "file_mounts": {"~/.ray/auth_token": "~/.ray/auth_token", f"~/{order.name}": "."},
        "rsync_exclude": ["results", ".git", "__pycache__", ".venv"],
        "setup_commands": [
            "chmod 600 ~/.ray/auth_token", *shared, f"python -m pip install '{_ourselves()}'",
        ],
        "head_start_ray_commands": [
            "ray stop",
            f"{start} --head --port=6379 --dashboard-host=127.0.0.1 --autoscaling-config=~/ray_bootstrap_config.yaml",
        ],
        "worker_start_ray_commands": ["ray stop", f"{start} --address=$RAY_HEAD_IP:6379"],
    }  # fmt: skip
    run = f"cd ~/{order.name} && RAY_AUTH_MODE=token {command(order, config_file=config_file)}"
    at_once = execution.workers or "as many as fit"
    says = (
        "1. A token for the cluster, once:   ray get-auth-token --generate",
        f"2. {', '.join(map(str, order.folders))}: the same storage on every machine, under that path;",
        f"   {_ourselves()} on an index that their pip asks, or a wheel's path in its place below",
        "3. The cluster, from the study's folder:   ray up THIS",
        f"4. The search, on the head: {run}",
        f"Each trial asks for {execution.cpus} CPU and {execution.gpus:g} GPU; side by side: {at_once}.",
        "The dashboard listens on the head's loopback address alone: ssh -L 8265:localhost:8265 brings it here.",
    )
    return _comments(says) + _dumped(made)


def pods(execution: Execution) -> tuple[int, int, int]:
    """Return how many worker pods a study asks for, and the processors and GPUs of each.

    Trials that share a GPU share a pod; any other trial has its own.
    """
    if execution.workers is None:
        raise BadInput(
            "execution.workers: got none, expected how many trials are to run side by side, for that settles the "
            "number of pods; add execution.workers=4"
        )
    each = int(1 / execution.gpus + 1e-9) if 0 < execution.gpus < 1 else 1
    each = min(each, execution.workers)
    return math.ceil(execution.workers / each), each * execution.cpus, math.ceil(execution.gpus)


def _cluster(
    order: Order, execution: Execution, files: Mapping[str, str], *, name: str, image: str | None, claim: str
) -> Document:
    count, cpus, gpus = pods(execution)
    ready = f"rayproject/ray:{version('ray')}-py{''.join(platform.python_version_tuple()[:2])}"
    items: list[Json] = [{"key": f"file-{i}", "path": path} for i, path in enumerate(files)]
    volumes: list[Json] = [{"name": "study", "configMap": {"name": f"{name}-study", "items": items}}]
    mounts: list[Json] = [{"name": "study", "mountPath": str(STUDY), "readOnly": True}]
    volumes.append({"name": "shared", "persistentVolumeClaim": {"claimName": claim}})
    mounts += [{"name": "shared", "mountPath": str(folder)} for folder in order.folders]

    def group(part: str, asked: Mapping[str, Json]) -> Document:
        container: Document = {
            "name": part, "image": image or ready + ("-gpu" if gpus and part == "ray-worker" else ""),
            "resources": {"requests": dict(asked), "limits": dict(asked)}, "volumeMounts": mounts,
        }  # fmt: skip
        return {"template": {"spec": {"containers": [container], "volumes": volumes}}}

    gpu: dict[str, Json] = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return {
        "rayVersion": version("ray"),
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"},  # no trial runs beside the driver
            **group("ray-head", {"cpu": "2", "memory": f"{2 * MEMORY_GB}Gi"}),
        },
        "workerGroupSpecs": [
            {
                "groupName": "trials", "replicas": count, "minReplicas": count, "maxReplicas": count,
                "rayStartParams": {},
                **group("ray-worker", {"cpu": str(cpus), "memory": f"{cpus * MEMORY_GB}Gi", **gpu}),
            }
        ],
    }  # fmt: skip


def _quoted(path: PurePosixPath) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def _ourselves() -> str:
    return f"archscale=={version('archscale')}"  # what pip installs: another version may read the study otherwise


def _comments(lines: Sequence[str]) -> str:
    return "".join(f"# {part}\n" for line in lines for part in line.splitlines())


class _Plain(yaml.SafeDumper):
    """Writes texts of several lines as such, and what stands twice twice: not every reader takes aliases."""

    def ignore_aliases(self, data: object) -> bool:
        """Never write one."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if ODD.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _text)


def _dumped(*documents: Document) -> str:
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
