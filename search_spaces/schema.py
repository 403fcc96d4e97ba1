"""Checks specs and turns what JSON and YAML say into them, through pydantic.

One schema serves all three ways in: an object built in Python is checked field by field like the mapping
that a file gives. The tags of unions are written `<...>` so that they can be left out of error paths.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from .check import check_choices
from .choice import Choice, Pick, Repeat, Searchable
from .data import REGISTER, Data, registered
from .errors import BadSpec

T = TypeVar("T")
DEEPEST = 4096  # layers in one repeat
_BUILDING: set[type] = set()


def build(kind: type[T], value: object) -> T:
    """Return a checked, normalised `kind` from an object or from what a file says; `BadSpec` names the path."""
    try:
        node = _adapter(kind, registered()).validate_python(value)
    except ValidationError as error:
        raise BadSpec(explain(error)) from None
    check_choices(node)
    return node  # type: ignore[no-any-return]


def checked_fields(node: Data) -> dict[str, object]:
    """Return a node's fields, checked and normalised; for constructors."""
    try:
        checked = _fields_adapter(type(node), registered()).validate_python(_as_mapping(node))
    except ValidationError as error:
        raise BadSpec(explain(error)) from None
    return dict(checked)


def explain(error: ValidationError) -> str:
    """Return one line a mistake: path, what was got, what was expected."""
    lines = [line for detail in error.errors(include_url=False) if (line := _line(detail))]
    return "\n".join(dict.fromkeys(lines))


def _line(detail: ErrorDetails) -> str | None:
    path = ""
    for part in detail["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("<"):
            path += f".{part}" if path else part
    message = detail["msg"][0].lower() + detail["msg"][1:]
    match detail["type"]:
        case "too_short" if len(detail["input"]) >= detail["ctx"]["min_length"]:
            return None  # its items failed, and each has a line of its own
        case "extra_forbidden":
            return f"{path}: unknown field; remove it or correct its name"
        case "union_tag_invalid":
            return f"{path}: {detail['ctx']['tag']}"
        case "missing" | "spec":
            return f"{path}: {message}"
        case _:
            return f"{path}: got {_short(detail['input'])}, expected {message.removeprefix('input should be ')}"


@lru_cache(maxsize=64)
def _adapter(kind: type, _registered: int) -> TypeAdapter:  # type: ignore[type-arg]
    return _strict(lambda handler: handler.generate_schema(kind))


@lru_cache(maxsize=64)
def _fields_adapter(kind: type[Data], _registered: int) -> TypeAdapter:  # type: ignore[type-arg]
    return _strict(lambda handler: _fields_schema(kind, handler))


def _strict(schema: Callable[[GetCoreSchemaHandler], CoreSchema]) -> TypeAdapter:  # type: ignore[type-arg]
    class Root:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
            return schema(handler)

    return TypeAdapter(Root, config=ConfigDict(strict=True))


def data_schema(cls: type[Data], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a node class; of an open base, that of every class registered below it, by its `type`."""
    if cls.__dict__.get("open"):
        return _open_schema(cls, handler)
    ref = f"data:{cls.__module__}.{cls.__qualname__}"
    if cls in _BUILDING:
        return core_schema.definition_reference_schema(ref)
    _BUILDING.add(cls)
    try:
        inner = _fields_schema(cls, handler)
    finally:
        _BUILDING.discard(cls)
    return _converted(cls, inner, lambda values: _made(cls, values), ref=ref)


def _open_schema(base: type[Data], handler: GetCoreSchemaHandler) -> CoreSchema:
    ref = f"data:{base.__name__}"
    if base in _BUILDING:
        return core_schema.definition_reference_schema(ref)
    _BUILDING.add(base)
    try:
        known = dict(REGISTER.get(base, {}))
        arms = {f"<{name}>": handler.generate_schema(cls) for name, cls in known.items()}
    finally:
        _BUILDING.discard(base)
    return _tagged(arms, lambda value: _type_tag(value, known), ref=ref)


def kinds_schema(source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a union whose arms are told apart by what the value is."""
    arms = _flat(source)
    data = {arm.__name__: arm for arm in arms if isinstance(arm, type) and issubclass(arm, Data)}
    if len(data) == len(arms) > 1:
        schemas = {f"<{name}>": handler.generate_schema(arm) for name, arm in data.items()}
        return _tagged(schemas, lambda value: _type_tag(value, data))
    grouped: dict[str, list[object]] = {}
    for arm in arms:
        grouped.setdefault(_kind_of_type(arm), []).append(arm)
    made = {kind: _arm_schema(kind, group, handler) for kind, group in grouped.items()}
    if "<real>" in made:  # 6 and 6.0 are one value, so that equal networks have equal keys
        made["<real>"] = core_schema.no_info_after_validator_function(float, made["<real>"])
    return _tagged(made, lambda value: _kind_tag(value, tuple(made)))


def _arm_schema(kind: str, group: list[object], handler: GetCoreSchemaHandler) -> CoreSchema:
    combinators = {"<choice>": _choice_schema, "<repeat>": _repeat_schema, "<pick>": _pick_schema}
    if kind in combinators:
        return combinators[kind](get_args(group[0])[0], handler)
    return handler.generate_schema(Union[tuple(group)])  # noqa: UP007


def _choice_schema(item: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Choice[T]`, in files `{choice: [...], name: ...}`."""
    option = handler.generate_schema(item)
    inner = core_schema.typed_dict_schema(
        {
            "choice": _required(core_schema.tuple_schema([option], variadic_item_index=0, min_length=1)),
            "name": core_schema.typed_dict_field(
                core_schema.nullable_schema(core_schema.str_schema(min_length=1, strict=True)), required=False
            ),
        },
        extra_behavior="forbid",
    )
    return _converted(Choice, inner, lambda v: Choice(*v["choice"], name=v.get("name")))


def _repeat_schema(item: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Repeat[T]`, in files `{repeat: item, count: n, independent: true}`."""
    repeated = handler.generate_schema(Searchable[item])  # type: ignore[valid-type]
    count = handler.generate_schema(Searchable[Annotated[int, Field(ge=1, le=DEEPEST)]])
    inner = core_schema.typed_dict_schema(
        {
            "repeat": _required(repeated),
            "count": _required(count),
            "independent": core_schema.typed_dict_field(core_schema.bool_schema(strict=True), required=False),
        },
        extra_behavior="forbid",
    )
    return _converted(Repeat, inner, lambda v: Repeat(v["repeat"], v["count"], v.get("independent", False)))


def _pick_schema(item: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Pick[T]`, in files `{pick: k, of: [...]}`."""
    option = handler.generate_schema(item)
    inner = core_schema.typed_dict_schema(
        {
            "pick": _required(core_schema.int_schema(ge=1, strict=True)),
            "of": _required(core_schema.tuple_schema([option], variadic_item_index=0, min_length=1)),
        },
        extra_behavior="forbid",
    )
    return _converted(Pick, inner, lambda v: Pick(v["pick"], *v["of"]))


def as_mapping(node: object) -> dict[str, object]:
    """Return a node or combinator as the mapping that files use, its parts untouched."""
    match node:
        case Choice():
            named = {"name": node.name} if node.name is not None else {}
            return {"choice": node.options, **named}
        case Repeat():
            return {"repeat": node.item, "count": node.count, "independent": node.independent}
        case Pick():
            return {"pick": node.k, "of": node.options}
        case _:
            return _as_mapping(node)


def _as_mapping(node: object) -> dict[str, object]:
    return {f.name: getattr(node, f.name) for f in fields(node)}  # type: ignore[arg-type]


def _fields_schema(cls: type[Data], handler: GetCoreSchemaHandler) -> CoreSchema:
    hints = get_type_hints(cls, include_extras=True)
    members = {
        f.name: core_schema.typed_dict_field(
            handler.generate_schema(hints[f.name]),
            required=f.default is MISSING and f.default_factory is MISSING,
        )
        for f in fields(cls)  # type: ignore[arg-type]
    }
    return core_schema.typed_dict_schema(members, extra_behavior="forbid")


def _converted(
    cls: type, inner: CoreSchema, make: Callable[[dict[str, object]], object], *, ref: str | None = None
) -> CoreSchema:
    def opened(value: object) -> object:
        if type(value) is cls:
            return as_mapping(value)
        if isinstance(value, Mapping):
            return {key: part for key, part in value.items() if key != "type" or not issubclass(cls, Data)}
        raise PydanticCustomError("spec", "got {got}, expected {name}", {"got": _short(value), "name": cls.__name__})

    schema = core_schema.no_info_before_validator_function(opened, inner)
    return core_schema.no_info_after_validator_function(make, schema, ref=ref)


def _made(cls: type[Data], values: dict[str, object]) -> Data:
    node = object.__new__(cls)
    for f in fields(cls):  # type: ignore[arg-type]
        object.__setattr__(node, f.name, values[f.name] if f.name in values else _default(f))
    return node


def _default(declared: object) -> object:
    factory = getattr(declared, "default_factory", MISSING)
    return getattr(declared, "default") if factory is MISSING else factory()  # noqa: B009


def _tagged(
    arms: dict[str, CoreSchema], tag: Callable[[object], str], *, ref: str | None = None
) -> CoreSchema:
    return core_schema.tagged_union_schema(arms, discriminator=tag, ref=ref)


def _type_tag(value: object, known: Mapping[str, type]) -> str:
    name = value.get("type") if isinstance(value, Mapping) else type(value).__name__
    if isinstance(name, str) and name in known and isinstance(value, Mapping | known[name]):
        return f"<{name}>"
    near = get_close_matches(str(name), known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    got = f"type {name!r}" if isinstance(value, Mapping) else _short(value)
    return f"got {got}, expected one of {', '.join(sorted(known))}{hint}"  # no arm's tag: the error's text


def _kind_tag(value: object, kinds: Sequence[str]) -> str:
    kind = _kind(value)
    if kind == "<whole>" and kind not in kinds and "<real>" in kinds:
        kind = "<real>"
    if kind == "<map>":  # a file's mapping: told apart by its keys
        keys = set(value) if isinstance(value, Mapping) else set()
        kind = next((f"<{word}>" for word in ("choice", "repeat", "pick") if word in keys), "<data>")
    if kind in kinds:
        return kind
    words = " or ".join(_WORDS[k] for k in kinds)
    return f"got {_short(value)}, expected {words}"  # no arm's tag: the error's text


_WORDS = {
    "<choice>": "a choice", "<repeat>": "a repeat", "<pick>": "a pick", "<flag>": "true or false",
    "<whole>": "a whole number", "<real>": "a number", "<text>": "text", "<list>": "a list",
    "<none>": "nothing", "<data>": "a mapping",
}  # fmt: skip
_KINDS: dict[type, str] = {
    Choice: "<choice>", Repeat: "<repeat>", Pick: "<pick>", bool: "<flag>", int: "<whole>", float: "<real>",
    str: "<text>", tuple: "<list>", list: "<list>", type(None): "<none>", dict: "<map>",
}  # fmt: skip


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "<data>" if is_dataclass(value) else f"<{type(value).__name__}>")


def _kind_of_type(arm: object) -> str:
    while get_origin(arm) is Annotated:
        arm = get_args(arm)[0]
    origin = get_origin(arm) or arm
    if str(origin) == "typing.Literal":
        return _kind(get_args(arm)[0])
    return _KINDS.get(origin, "<data>") if isinstance(origin, type) else "<data>"


def _flat(source: object) -> list[object]:
    """List a union's arms, opening unions inside that are themselves told apart by kind."""
    if get_origin(source) in (Union, types.UnionType):
        return [arm for part in get_args(source) for arm in _flat(part)]
    if get_origin(source) is Annotated and get_origin(get_args(source)[0]) in (Union, types.UnionType):
        return _flat(get_args(source)[0])
    return [source]


def _required(schema: CoreSchema) -> core_schema.TypedDictField:
    return core_schema.typed_dict_field(schema, required=True)


def _short(value: object) -> str:
    text = type(value).__name__ if isinstance(value, Data) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
