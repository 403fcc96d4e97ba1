"""The shared secret of a Ray cluster, as Ray itself looks for it; loads no Ray."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from search_spaces.errors import ClusterError

MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
ON, OFF = "token", "disabled"
MOST = 1 << 16  # bytes of a token's file
REMEDY = (
    "make one on the head, `ray get-auth-token --generate`, copy its ~/.ray/auth_token to every node and to this "
    "machine (chmod 600), and start the cluster again with it: `RAY_AUTH_MODE=token ray start --head`"
)


def token() -> str | None:
    """Return the token that Ray would show a cluster: of the environment, a named file, or ~/.ray/auth_token."""
    if said := os.environ.get(TOKEN, "").strip():
        return said
    named = os.environ.get(TOKEN_FILE)
    path = Path(named) if named else own_file()
    try:
        with path.open("rb") as file:
            return file.read(MOST).decode().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        if named:
            raise ClusterError(f"{TOKEN_FILE}: {path} cannot be read ({error}); {REMEDY}") from None
        return None


def own_file() -> Path:
    """Return where Ray keeps a user's token."""
    return Path.home() / ".ray" / "auth_token"


def switched_off() -> bool:
    """Tell whether this user has said that no token is to be asked for or shown."""
    return os.environ.get(MODE, "").lower() == OFF


def refuse_without(address: str) -> None:
    """Refuse a cluster on other machines that would be joined without a token."""
    if switched_off():
        raise ClusterError(
            f"{address}: {MODE} is {OFF}, so no token would be shown, and whoever reaches such a cluster can run code "
            f"on it; `unset {MODE}`, and {REMEDY}"
        )
    if token() is None:
        raise ClusterError(
            f"{address}: there is no token here, and whoever reaches a cluster without one can run code on it; {REMEDY}"
        )


def keep_to_owner() -> None:
    """Let nobody else read the token that Ray has written for this user; its own file is open to all."""
    with suppress(OSError):
        path = own_file()
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def is_here(host: str) -> bool:
    """Tell whether a host is this machine: whether one of its addresses can be bound here."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(_bound(family, address) for family, _, _, _, address in found)


def _bound(family: int, address: tuple[object, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.bind((address[0], 0, *address[2:]))
    except OSError:
        return False
    return True
