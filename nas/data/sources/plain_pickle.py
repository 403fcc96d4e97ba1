"""A pickle of plain values and numpy arrays of numbers, read as data: nothing in it is imported or called.

The usual unpickler runs whatever a file names. Here the operations are stepped through one by one; those that
build numbers, texts, lists, tuples and dictionaries are done, and the few names by which numpy writes an array
stand for functions of our own. Anything else is refused. Protocols 2 to 5 (python.org, pickletools).
"""

from __future__ import annotations

import pickletools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import BinaryIO

import numpy as np

from ..dataset import Array

PUSHED = {  # operations that only put a value on the stack
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
NUMBERS = re.compile(r"[biuf]\d{1,2}")  # the dtypes that are read
MOST = 2_000_000  # operations: some ten times those of the largest file that is read here


class NotPlain(ValueError):
    """What a pickle holds besides plain values, or where it is damaged."""


def read_plain(file: BinaryIO, *, size: int) -> object:
    """Return the value of a pickle of `size` bytes; texts that Python 2 wrote come as latin-1 `str`.

    Raises `NotPlain` for whatever is no number, text, list, tuple, dictionary or numpy array of numbers, and
    for damage.
    """
    machine = _Machine(stack=[], marks=[], memo={}, room=size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what odd texts hold: they are refused a moment later
            for operation, argument, _ in islice(pickletools.genops(file), MOST):
                if operation.name == "STOP":
                    return machine.result()
                machine.step(operation.name, argument)
    except NotPlain:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
        raise NotPlain(f"damage ({error})") from error
    raise NotPlain(f"no end within {MOST} operations")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """A name that the pickle would have imported."""

    text: str


@dataclass(slots=True, kw_only=True)
class _Raw:
    """An array while it is built: its numbers come with a later operation."""

    array: Array | None = None


@dataclass(slots=True, kw_only=True)
class _Kind:
    """A dtype while it is built: its byte order comes with a later operation."""

    dtype: np.dtype[np.generic]


@dataclass(slots=True, kw_only=True)
class _Machine:
    """The stack, the marks on it, what was remembered, and the room left."""

    stack: list[object]
    marks: list[int]
    memo: dict[int, object]
    room: int  # bytes that may still be made of texts; an honest file makes no more than it has

    def step(self, name: str, argument: object) -> None:
        """Do one operation, or refuse it."""
        if name in PUSHED:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in TUPLES:
            self.stack.append(tuple(self._popped(TUPLES[name])))
        elif name in STEPS:
            STEPS[name](self, argument)
        else:
            raise NotPlain(f"the operation {name}")

    def result(self) -> object:
        """Return the one value that is left."""
        (value,) = self.stack
        return value.array if isinstance(value, _Raw) else value

    def pop(self) -> object:
        """Take the top of the stack, an array being given as such."""
        value = self.stack.pop()
        return value.array if isinstance(value, _Raw) else value

    def since_mark(self) -> list[object]:
        """Take what was put on the stack since the last mark."""
        return self._popped(len(self.stack) - self.marks.pop())

    def encoded(self, text: str) -> bytes:
        """Return a text that stands for bytes as those."""
        self.room -= len(text)
        if self.room < 0:
            raise NotPlain("a text made into bytes over and over")
        return text.encode("latin1")

    def _popped(self, count: int) -> list[object]:
        if count > len(self.stack):
            raise NotPlain("damage (too few values)")
        return [self.pop() for _ in range(count)][::-1]


def _remember(machine: _Machine, at: object) -> None:
    machine.memo[len(machine.memo) if at is None else _whole(at)] = machine.stack[-1]


def _recall(machine: _Machine, at: object) -> None:
    machine.stack.append(machine.memo[_whole(at)])


def _extend(machine: _Machine, values: list[object]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise NotPlain(f"a {type(target).__name__} to append to")
    target.extend(values)


def _put(machine: _Machine, values: list[object]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, dict):
        raise NotPlain(f"a {type(target).__name__} to put items into")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str | bytes):  # of tuples in tuples, the hash alone could end the process
            raise NotPlain(f"a {type(key).__name__} for a key")
        target[key] = value


def _name(machine: _Machine, argument: object) -> None:
    if argument is None:  # STACK_GLOBAL: module and name are on the stack
        attribute, module = machine.pop(), machine.pop()
        argument = f"{_text(module)} {_text(attribute)}"
    name = _Name(text=str(argument).replace(" ", ".").replace("numpy._core.", "numpy.core."))
    if name.text not in {*CALLS, "numpy.ndarray"}:
        raise NotPlain(f"the name {name.text[:80]!r}")
    machine.stack.append(name)


def _call(machine: _Machine, _: object) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, _Name) or function.text not in CALLS or not isinstance(arguments, tuple):
        raise NotPlain("a call")
    machine.stack.append(CALLS[function.text](machine, arguments))


def _build(machine: _Machine, _: object) -> None:
    state, target = machine.pop(), machine.stack[-1]
    if isinstance(target, _Raw) and isinstance(state, tuple):
        _, shape, kind, fortran, data = state
        target.array = _array(machine, data, shape, kind=kind, order="F" if fortran else "C")
    elif isinstance(target, _Kind) and isinstance(state, tuple):
        target.dtype = target.dtype.newbyteorder(state[1])
    else:
        raise NotPlain(f"a state for a {type(target).__name__}")


def _encoded(machine: _Machine, arguments: tuple[object, ...]) -> bytes:
    """Stand for `_codecs.encode`, by which Python 3 writes bytes in protocol 2."""
    text, encoding = arguments
    if encoding != "latin1":
        raise NotPlain("a text in another encoding than latin1")
    return machine.encoded(_text(text))


def _no_bytes(_: _Machine, arguments: tuple[object, ...]) -> bytes:
    """Stand for `bytes()`, by which Python 3 writes empty bytes in protocol 2."""
    if arguments:
        raise NotPlain("a call of bytes")
    return b""


def _dtype(_: _Machine, arguments: tuple[object, ...]) -> _Kind:
    name = _text(arguments[0])
    if not NUMBERS.fullmatch(name):
        raise NotPlain(f"an array of {name[:40]!r}")
    return _Kind(dtype=np.dtype(name))


def _from_buffer(machine: _Machine, arguments: tuple[object, ...]) -> _Raw:
    """Stand for numpy's `_frombuffer`, which protocol 5 writes."""
    data, kind, shape, order = arguments
    return _Raw(array=_array(machine, data, shape, kind=kind, order=_text(order)))


def _array(machine: _Machine, data: object, shape: object, *, kind: object, order: str) -> Array:
    """Return the array of some bytes, which must be as many as its shape needs."""
    content = machine.encoded(data) if isinstance(data, str) else data
    if not isinstance(kind, _Kind) or not isinstance(content, bytes | bytearray) or order not in ("C", "F"):
        raise NotPlain("an array of other than numbers")
    if not isinstance(shape, tuple) or len(shape) > 4:
        raise NotPlain("an array of more than four axes")
    if prod(map(_whole, shape)) * kind.dtype.itemsize != len(content):
        raise NotPlain(f"an array of {len(content)} bytes for the shape {shape}")
    flat: Array = np.frombuffer(content, dtype=kind.dtype)
    return flat.reshape(shape) if order == "C" else flat.reshape(shape[::-1]).T


def _whole(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise NotPlain("something else for a whole number from 0")
    return value


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        raise NotPlain(f"a {type(value).__name__} for a text")
    return value


CALLS: dict[str, Callable[[_Machine, tuple[object, ...]], object]] = {
    "numpy.core.multiarray._reconstruct": lambda _, __: _Raw(),
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.dtype": _dtype,
    "_codecs.encode": _encoded,
    "__builtin__.bytes": _no_bytes,
}
STEPS: dict[str, Callable[[_Machine, object], None]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": _remember,
    "BINGET": _recall,
    "LONG_BINGET": _recall,
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "APPEND": lambda machine, _: _extend(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _extend(machine, machine.since_mark()),
    "SETITEM": lambda machine, _: _put(machine, [machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: _put(machine, machine.since_mark()),
    "GLOBAL": _name,
    "STACK_GLOBAL": _name,
    "REDUCE": _call,
    "BUILD": _build,
}
