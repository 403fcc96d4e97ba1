"""The device that is measured: found by name, and told apart from others."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from search_spaces.errors import BadInput
from search_spaces.names import nearest

KINDS = ("cpu", "cuda", "mps")
QUERY_SECONDS = 5.0  # that nvidia-smi may take
QUERIED = ("driver_version", "clocks.sm", "clocks.max.sm", "power.limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A device: what it is, and in `seen` what else was read of it at the time, such as its clock's frequency.

    `key` is short and stable: of the hardware and torch's version (1.2 of 1.2.3), not of what changes by the hour.
    """

    key: str
    kind: str
    name: str
    cores: int  # for us; multiprocessors of a GPU
    memory_bytes: int
    torch: str
    system: str
    seen: dict[str, str]


def device_named(text: str) -> torch.device:
    """Return the device that `cpu`, `cuda`, `cuda:1` or `mps` means; `BadInput` where it is not there."""
    kind, mark, number = text.partition(":")
    if kind not in KINDS or (mark and not number.isdecimal()):
        raise BadInput(f"device: got {text!r}, expected cpu, cuda, cuda:0 ... or mps{nearest(kind, KINDS)}")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if int(number or 0) >= there[kind]:
        raise BadInput(f"device: got {text!r}, expected one that is here: {', '.join(devices())}")
    return (
        torch.device(kind, int(number or torch.cuda.current_device()))
        if kind == "cuda"
        else torch.device(kind)
    )


def devices() -> list[str]:
    """Return the names of the devices that are here."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fingerprint(device: torch.device) -> Fingerprint:
    """Return what a device is, as far as can be read; never fails for what cannot."""
    if device.type == "cuda":
        return _gpu(device)
    about = _processor()
    name = about.get("model name") or platform.processor() or platform.machine()
    if device.type == "mps":
        name = f"{name} GPU"
    # A virtual machine's name for its processor says little; these tell generations apart.
    same = [about.get(field, "") for field in ("cpu family", "model", "cache size")]
    return _of(
        device.type, name, cores(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        [*same, torch.backends.cpu.get_cpu_capability(), platform.machine()], _seen_of_processor(about),
    )  # fmt: skip


def _of(kind: str, name: str, cores: int, memory: int, same: list[str], seen: dict[str, str]) -> Fingerprint:
    version = ".".join(torch.__version__.split(".")[:2])
    digest = hashlib.sha256("\n".join([kind, name, str(cores), version, *same]).encode()).hexdigest()
    words = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(\w+\)|\bcpu\b.*|\bnvidia\b", "", name.lower())).strip("-")
    return Fingerprint(
        key=f"{words[:32] or kind}-{cores}-{digest[:6]}",
        kind=kind,
        name=name,
        cores=cores,
        memory_bytes=memory,
        torch=torch.__version__,
        system=platform.system(),
        seen=seen,
    )


def _processor() -> dict[str, str]:
    """Return what /proc says of the first processor; nothing where there is no /proc."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _seen_of_processor(about: dict[str, str]) -> dict[str, str]:
    scaling = Path("/sys/devices/system/cpu/cpu0/cpufreq")
    turbo = Path("/sys/devices/system/cpu")
    return _known(
        {
            "mhz": about.get("cpu MHz", ""),
            "governor": _read(scaling / "scaling_governor"),
            "most_khz": _read(scaling / "scaling_max_freq"),
            "boost": _read(turbo / "cpufreq" / "boost"),
            "no_turbo": _read(turbo / "intel_pstate" / "no_turbo"),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads_in_all": str(os.cpu_count() or ""),
        }
    )


def _gpu(device: torch.device) -> Fingerprint:
    about = torch.cuda.get_device_properties(device)
    same = [f"{about.major}.{about.minor}", str(about.total_memory)]
    seen = {
        "capability": f"{about.major}.{about.minor}",
        "cuda": torch.version.cuda or torch.version.hip or "",
        "float32_matmul": torch.get_float32_matmul_precision(),
        "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
        **_queried(device.index or 0),
    }
    return _of("cuda", about.name, about.multi_processor_count, about.total_memory, same, _known(seen))


def _queried(index: int) -> dict[str, str]:
    """Return what nvidia-smi says of a GPU; nothing where it is not there or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    wanted = [program, f"--query-gpu={','.join(QUERIED)}", "--format=csv,noheader", "-i", str(index)]
    try:
        said = subprocess.run(
            wanted, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(QUERIED, (part.strip() for part in said.split(",")), strict=False))


def _known(seen: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in seen.items() if value}


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
