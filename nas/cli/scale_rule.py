"""What `--rule` means: a rule's name with settings, a file with a rule, or a run that fitted one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from scaling.compound import Scaling
from scaling.rules import Rule
from search_spaces.data import REGISTER
from search_spaces.errors import BadInput
from search_spaces.names import nearest
from search_spaces.serialise import from_data, parse, read_text

from ..config import import_modules
from ..storage import check_name, inside
from .model import FILES

COEFFICIENTS = "coefficients.json"  # in the folder of a run of `nas fit`; its key `rule` is the rule
SHORT = {"width": "WidthOnly", "depth": "DepthOnly", "resolution": "ResolutionOnly"}


def rule_named(text: str, imports: Sequence[str], results: Path) -> Rule:
    """Return the rule that text such as `compound alpha=1.3`, a file or a run of `nas fit` means."""
    import_modules(list(imports))
    name, settings = _split(text)
    known = {**{_plain(cls): cls for cls in REGISTER[Rule]}, **SHORT}
    if _plain(name) in known:
        return _made({"type": known[_plain(name)], **settings})
    path = _file(name, results)
    if path is None:
        words = sorted({*SHORT, *(cls.lower() for cls in REGISTER[Rule] if cls not in SHORT.values())})
        raise BadInput(
            f"--rule: got {name!r}, expected one of {', '.join(words)}, a file with a rule, or a run of `nas fit`"
            f"{nearest(name.lower(), words)}"
        )
    if settings:
        raise BadInput(
            f"--rule: got settings ({', '.join(settings)}) for {name}, expected none: it has its own"
        )
    return _made(_in_file(path), source=f"{path}: ")


def _split(text: str) -> tuple[str, dict[str, object]]:
    """Return a rule's name and its settings; a name that is no rule's may hold spaces, as a path does."""
    try:
        name, *parts = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"--rule {text!r}: {error}; write it as 'compound alpha=1.3 beta=1.1'") from None
    settings: dict[str, object] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not (equals and key and value):
            raise BadInput(f"--rule {text!r}: got {part!r}, expected key=value, such as alpha=1.3")
        settings[key] = parse(value, source=f"--rule {key}")
    return name, settings


def _made(data: object, *, source: str = "") -> Rule:
    try:
        return from_data(Scaling, {"rule": data}).rule
    except BadInput as error:
        raise type(error)(f"{source}{error}") from None


def _file(name: str, results: Path) -> Path | None:
    """Return the file that holds a rule, None where there is none by that name."""
    if name.endswith(FILES):
        return Path(name)
    if (Path(name) / COEFFICIENTS).is_file():
        return Path(name) / COEFFICIENTS
    try:
        path = inside(results, check_name(name)) / COEFFICIENTS
    except BadInput:
        return None
    return path if path.is_file() else None


def _in_file(path: Path) -> object:
    """Return a rule as a file says it, alone or as `rule`."""
    said = parse(read_text(path), source=str(path))
    return said["rule"] if isinstance(said, Mapping) and "rule" in said else said


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
