"""What every node of a spec is: a frozen dataclass that Python, JSON and YAML say alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, TypeVar

from .errors import BadSpec

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


T = TypeVar("T")
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

    def check(self) -> None:
        """Raise `BadSpec` where fields that are right alone do not go together.

        Called once the fields are checked, whether Python or a file says them.
        """


class Checked(Data):
    """A node that, built in Python, checks and normalises itself and all below it; `BadSpec` names the path.

    Any other node is checked once it stands in one of these.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        from .check import check_choices
        from .schema import checked_fields

        for name, value in checked_fields(self).items():
            object.__setattr__(self, name, value)
        self.check()
        check_choices(self)


@dataclass(frozen=True, slots=True)
class ByKind:
    """Marks a union as told apart by the kind of value (number, text ...), so that each error comes once."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from .schema import kinds_schema

        return kinds_schema(source, handler)


def register(cls: type[DataT]) -> type[DataT]:
    """Make a block, head, augmentation or strategy usable by its class name; for users' own ones too.

    Use it as a decorator above `@dataclass(frozen=True, slots=True, kw_only=True)`. A name that another
    module has taken is refused; within a module, as in a notebook, the newest class of a name counts.
    """
    name = cls.__name__
    params = cls.__dict__.get("__dataclass_params__")  # its own, not those of a base
    if params is None or not params.frozen:
        raise BadSpec(
            f"{name}: expected a frozen dataclass; put @register above @dataclass(frozen=True, ...)"
        )
    base = next((b for b in cls.__mro__[1:] if b.__dict__.get("open")), None)
    if base is None:
        raise BadSpec(f"{name}: expected a subclass of Block, Head or another open base")
    known = REGISTER.setdefault(base, {}).get(name, cls)
    if known.__module__ != cls.__module__:
        raise BadSpec(f"{name}: the name is taken by {known.__module__}; choose another")
    REGISTER[base][name] = cls
    return cls


def registered() -> tuple[type, ...]:
    """Return every registered class; what was built from other classes is stale."""
    return tuple(cls for classes in REGISTER.values() for cls in classes.values())


def by_class(function: Callable[[type], T]) -> Callable[[type], T]:
    """Remember what a function of a class returned: `functools.cache` as strict typing lets it be called."""
    return cache(function)


@by_class
def declared(kind: type) -> tuple[tuple[str, object], ...]:
    """Return (name, default) of a node class's fields, in order; `dataclasses.MISSING` for no default.

    >>> from search_spaces import Stage
    >>> [name for name, default in declared(Stage) if default is MISSING]
    ['blocks', 'width']
    """
    if not is_dataclass(kind):
        raise BadSpec(
            f"got {kind.__name__}, expected a dataclass, tuple, number, text, Choice, Repeat or Pick"
        )
    return tuple(
        (f.name, f.default if f.default_factory is MISSING else f.default_factory()) for f in fields(kind)
    )
