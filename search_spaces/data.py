"""What every node of a spec is: a frozen dataclass that Python, JSON and YAML say alike."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from .errors import BadSpec

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


DataT = TypeVar("DataT", bound="Data")
REGISTER: dict[type, dict[str, type]] = {}  # open base -> class name -> class


class Data:
    """A node of a spec; subclasses are frozen, slotted, keyword-only dataclasses.

    A `tagged` class says its name as `type` in JSON and YAML, because its place takes several classes.
    An `open` base stands for whatever was registered below it, users' own classes too.
    """

    __slots__ = ()
    tagged: ClassVar[bool] = False
    open: ClassVar[bool] = False

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from .schema import data_schema

        return data_schema(cls, handler)


@dataclass(frozen=True, slots=True)
class ByKind:
    """Marks a union as told apart by what the value is (number, text, list, choice ...), so each error comes once."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from .schema import kinds_schema

        return kinds_schema(source, handler)


def register(cls: type[DataT]) -> type[DataT]:
    """Make a block, head, augmentation or strategy usable by its class name; for users' own ones too.

    Use it as a decorator above `@dataclass(frozen=True, slots=True, kw_only=True)`. A name that another module
    has taken is refused.
    """
    if not is_dataclass(cls):
        raise BadSpec(f"{cls.__name__}: got a plain class, expected a dataclass; put @register above @dataclass(...)")
    base = next((b for b in cls.__mro__[1:] if b.__dict__.get("open")), None)
    if base is None:
        raise BadSpec(f"{cls.__name__}: expected a subclass of Block, Head or another open base")
    known = REGISTER.setdefault(base, {}).setdefault(cls.__name__, cls)
    if known.__module__ != cls.__module__:
        raise BadSpec(f"{cls.__name__}: the name is taken by {known.__module__}; choose another")
    REGISTER[base][cls.__name__] = cls
    return cls


def registered() -> int:
    """Return how many classes are registered; what was built from the register is stale once it grows."""
    return sum(map(len, REGISTER.values()))
