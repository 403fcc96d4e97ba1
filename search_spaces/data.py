"""What every node of a spec is: a frozen dataclass that Python, JSON and YAML say alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Data:
    """A node of a spec; subclasses are frozen, slotted, keyword-only dataclasses.

    A `tagged` class says its name as `type` in JSON and YAML, because its place takes several classes.
    """

    __slots__ = ()
    tagged: ClassVar[bool] = False

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
