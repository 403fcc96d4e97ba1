"""Checks specs and turns what JSON and YAML say into them, through pydantic.

One schema serves all three ways in: an object built in Python is checked field by field like the mapping
that a file gives. The tags of unions are written `<...>` so that they can be left out of error paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from threading import RLock
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_type_hints

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .check import MOST_OPTIONS, check_choices
from .choice import DEEPEST, Choice, Pick, Repeat, Searchable
from .data import REGISTER, Checked, Data, declared, registered
from .errors import BadInput, BadSpec
from .explain import OURS, UNKNOWN, explain, named
from .kinds import WRONG, flat, kind_of_type, kind_problem, kind_tag, type_problem, type_tag

T = TypeVar("T")
Adapter = TypeAdapter[Any]
RESERVED = {"type", "choice", "repeat", "pick"}  # files tell nodes and combinators apart by these
SchemaOf = Callable[[type, GetCoreSchemaHandler], CoreSchema]
_ADAPTERS: dict[tuple[type, SchemaOf, tuple[type, ...]], Adapter] = {}
_MET: set[type] = set()  # classes whose schema the adapter now being made holds already, or soon will
_LOCK = RLock()  # of the two above


def build(kind: type[T], value: object) -> T:
    """Return a checked, normalised `kind` from an object or what a file says; `BadSpec` names the path."""
    node = _validated(_adapter(kind, _node_schema), value)
    check_choices(node)
    return cast(T, node)


def checked_fields(node: Data) -> dict[str, object]:
    """Return a node's fields, checked and normalised; for constructors."""
    return dict(_validated(_adapter(type(node), _fields_schema), as_mapping(node)))


def _validated(adapter: Adapter, value: object) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise BadSpec(explain(error)) from None


def _adapter(kind: type, schema: SchemaOf) -> Adapter:
    """Return the validator of a class or of its fields; made once for what is registered."""

    class Root:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
            return schema(kind, handler)

    key = (kind, schema, registered())
    with _LOCK:
        if key not in _ADAPTERS:
            _MET.clear()
            _ADAPTERS[key] = TypeAdapter(Root, config=ConfigDict(strict=True, allow_inf_nan=False))
        return _ADAPTERS[key]


def _node_schema(kind: type, handler: GetCoreSchemaHandler) -> CoreSchema:
    return handler.generate_schema(kind)


def data_schema(cls: type[Data], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a node class; of an open base, that of the classes registered below, by `type`."""
    ref = f"data:{cls.__module__}.{cls.__qualname__}"
    if cls in _MET:
        return core_schema.definition_reference_schema(ref)
    _MET.add(cls)
    if cls.__dict__.get("open"):
        return _union_schema(REGISTER.get(cls, {}), handler, ref=ref)
    inner = _fields_schema(cls, handler)
    return _converted(cls, inner, lambda values: _made(cls, values), ref=ref)


def kinds_schema(source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a union whose arms are told apart by what the value is."""
    arms = flat(source)
    data = {arm.__name__: arm for arm in arms if isinstance(arm, type) and issubclass(arm, Data)}
    if len(data) == len(arms) > 1:
        return _union_schema(data, handler)
    grouped: dict[str, list[object]] = {}
    for arm in arms:
        grouped.setdefault(kind_of_type(arm), []).append(arm)
    made = {kind: _arm_schema(kind, group, handler) for kind, group in grouped.items()}
    kinds = tuple(made)
    return _tagged(made, lambda value: kind_tag(value, kinds), lambda value: kind_problem(value, kinds))


def _union_schema(
    known: Mapping[str, type], handler: GetCoreSchemaHandler, *, ref: str | None = None
) -> CoreSchema:
    arms = {f"<{name}>": handler.generate_schema(cls) for name, cls in known.items()}
    return _tagged(
        arms, lambda value: type_tag(value, known), lambda value: type_problem(value, known), ref=ref
    )


def _tagged(
    arms: dict[str, CoreSchema],
    tag: Callable[[object], str],
    problem: Callable[[object], str],
    *,
    ref: str | None = None,
) -> CoreSchema:
    """Choose an arm by the value's tag; one more arm, for any other tag, says what is wrong."""

    def refused(value: object) -> object:
        raise _wrong(problem(value))

    arms = {**arms, WRONG: core_schema.no_info_plain_validator_function(refused)}
    return core_schema.tagged_union_schema(arms, discriminator=tag, ref=ref)


def _arm_schema(kind: str, group: list[object], handler: GetCoreSchemaHandler) -> CoreSchema:
    combinators = {"<choice>": _choice_schema, "<repeat>": _repeat_schema, "<pick>": _pick_schema}
    if kind in combinators:
        return combinators[kind](get_args(group[0])[0], handler)
    return handler.generate_schema(Union[tuple(group)])  # noqa: UP007


def _choice_schema(item: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Choice[T]`, in files `{choice: [...], name: ...}`."""
    name = core_schema.str_schema(pattern=r"^[A-Za-z0-9_.:/ -]{1,64}$", strict=True)
    inner = _mapping_schema(
        "a choice",
        {
            "choice": core_schema.typed_dict_field(_options_schema(item, handler)),
            "name": core_schema.typed_dict_field(core_schema.nullable_schema(name), required=False),
        },
    )
    return _converted(Choice, inner, lambda v: Choice(*v["choice"], name=v.get("name")))


def _repeat_schema(item: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Repeat[T]`, in files `{repeat: item, count: n, independent: true}`."""
    count = handler.generate_schema(_searchable(Annotated[int, Field(ge=1, le=DEEPEST)]))
    inner = _mapping_schema(
        "a repeat",
        {
            "repeat": core_schema.typed_dict_field(handler.generate_schema(_searchable(item))),
            "count": core_schema.typed_dict_field(count),
            "independent": core_schema.typed_dict_field(core_schema.bool_schema(strict=True), required=False),
        },
    )
    return _converted(Repeat, inner, lambda v: Repeat(v["repeat"], v["count"], v.get("independent", False)))


def _pick_schema(item: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Pick[T]`, in files `{pick: k, of: [...]}`."""
    inner = _mapping_schema(
        "a pick",
        {
            "pick": core_schema.typed_dict_field(core_schema.int_schema(strict=True)),
            "of": core_schema.typed_dict_field(_options_schema(item, handler)),
        },
    )
    return _converted(Pick, inner, lambda v: Pick(v["pick"], *v["of"]))


def _searchable(item: object) -> object:
    return cast(Any, Searchable)[item]


def _options_schema(item: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    option = kinds_schema(item, handler)
    return core_schema.tuple_schema([option], variadic_item_index=0, min_length=1, max_length=MOST_OPTIONS)


def _fields_schema(cls: type, handler: GetCoreSchemaHandler) -> CoreSchema:
    hints = get_type_hints(cls, include_extras=True)
    members = {
        name: core_schema.typed_dict_field(handler.generate_schema(hints[name]), required=default is MISSING)
        for name, default in declared(cls)
    }
    taken = RESERVED & set(members)
    if taken:
        raise BadSpec(
            f"{cls.__name__}.{min(taken)}: this name has a meaning of its own in files; choose another"
        )
    return _mapping_schema(cls.__name__, members)


def _mapping_schema(name: str, members: dict[str, core_schema.TypedDictField]) -> CoreSchema:
    known = ", ".join(members) or "none"

    def refused(_: object) -> object:
        about = {"name": name, "fields": known, "known": tuple(members)}
        raise PydanticCustomError(UNKNOWN, "unknown field; the fields of {name} are {fields}", about)

    unknown = core_schema.no_info_plain_validator_function(refused)
    strict = core_schema.CoreConfig(strict=True, allow_inf_nan=False)  # is not inherited
    return core_schema.typed_dict_schema(
        members, extras_schema=unknown, extra_behavior="allow", config=strict
    )


def as_mapping(node: object) -> dict[str, object]:
    """Return a node or combinator as the mapping that files use, its parts untouched."""
    match node:
        case Choice():
            named = {"name": node.name} if node.name is not None else {}
            return {"choice": node.options, **named}
        case Repeat():
            independent = {"independent": True} if node.independent else {}
            return {"repeat": node.item, "count": node.count, **independent}
        case Pick():
            return {"pick": node.k, "of": node.options}
        case _:
            return {name: getattr(node, name) for name, _ in declared(type(node))}


def _converted(
    cls: type, inner: CoreSchema, make: Callable[[dict[str, Any]], object], *, ref: str | None = None
) -> CoreSchema:
    """Take an object of `cls` or a file's mapping through `inner`, then make an object of what came out."""
    tag = cls.__name__ if issubclass(cls, Data) and cls.tagged else None

    def opened(value: object) -> object:
        if type(value) is cls:
            return as_mapping(value)
        if isinstance(value, Mapping) and (tag is None or value.get("type", tag) == tag):
            return value if tag is None else {key: part for key, part in value.items() if key != "type"}
        raise _wrong(f"got {named(value)}, expected {cls.__name__}")

    def made(values: dict[str, Any]) -> object:
        try:
            return make(values)
        except BadInput as error:
            raise _wrong(str(error)) from None

    schema = core_schema.no_info_before_validator_function(opened, inner)
    return core_schema.no_info_after_validator_function(made, schema, ref=ref)


def _made(cls: type[Data], values: dict[str, object]) -> Data:
    """Make a node past its constructor, which checks all below once more, but not past its own checks."""
    node = object.__new__(cls)
    for name, default in declared(cls):
        object.__setattr__(node, name, values.get(name, default))
    check = getattr(node, "__post_init__", None)
    if check is not None and not issubclass(cls, Checked):
        check()
    node.check()
    return node


def _wrong(text: str) -> PydanticCustomError:
    return PydanticCustomError(OURS, "{text}", {"text": text})
