"""The command `nas`: runs one command and says in one message what went wrong."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer
from typer.exceptions import TyperException

from .cli.app import app
from .cli.show import ClosedOutputError, complain

INTERRUPTED = 130
UNEXPECTED = 1


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return its exit code: the console entry.

    An error is one message on standard error; `--debug`, anywhere, shows the traceback above it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _find_own_modules()
    try:
        code = app().main([a for a in given if a != "--debug"], prog_name="nas", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except (ClosedOutputError, BrokenPipeError):
        return _without_output()
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a message
        if "--debug" in given:
            traceback.print_exc()
        return _explained(error)
    return code if isinstance(code, int) else 0


def _find_own_modules() -> None:
    """Let the user's modules be imported from the working folder; it comes last, so that they hide none of ours."""
    with suppress(OSError):  # it was deleted
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)


def _explained(error: Exception) -> int:
    from search_spaces.errors import ArchscaleError

    if isinstance(error, TyperException):
        complain(_usage(error))
        return error.exit_code
    if isinstance(error, ArchscaleError):
        complain(str(error))
        return error.exit_code
    text = " ".join(str(error).split())
    complain(f"{type(error).__name__}: {text}. This is a fault of ours; --debug shows where it happened")
    return UNEXPECTED


def _usage(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return error.format_message().rstrip(".") + hint


def _without_output() -> int:
    """Leave quietly: who read the output has seen enough, as in `nas status RUN | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(run())
