"""What a class takes: numbers that are the same in all members stay in its text, the others become arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from .source_classes import Family, Made, spelt
from .source_form import Form, Slot, Value
from .source_text import snake, type_text, unused, value_text
from .source_units import TAKEN, Unit

ORDER = ("channels", "kernel", "stride", "dilation", "padding", "groups")
MULTIPLES = (2, 3, 4, 6, 8, 16)  # that are told as such, not passed
Place = tuple[int, int, bool, int]  # part, variant, whether of the module (else of the call), slot


@dataclass(slots=True, eq=False)
class Param:
    """An argument: its value in each member, None where the member has no use for it."""

    kind: str
    values: list[Value | None]
    name: str = ""
    seed: bool = False  # channels of an input or the output: passed by position
    places: list[tuple[Place, Slot]] = field(default_factory=list)
    default: Value | None = None

    def takes(self, kind: str, values: Sequence[Value | None]) -> bool:
        """Tell whether values of a kind agree with this one's, member by member."""
        pairs = zip(self.values, values, strict=True)
        return kind == self.kind and all(a is None or b is None or _same(a, b) for a, b in pairs)

    def add(self, place: Place, slot: Slot, values: Sequence[Value | None]) -> None:
        """Use this argument at one more place."""
        self.values = [b if a is None else a for a, b in zip(self.values, values, strict=True)]
        self.places.append((place, slot))


@dataclass(slots=True)
class Params:
    """The arguments of a family's class, and the text of each slot in it."""

    family: Family
    made: Made
    every: list[Param] = field(default_factory=list)
    texts: dict[Place, str | None] = field(default_factory=dict)
    bound: dict[Place, Param] = field(default_factory=dict)
    scaled: dict[Place, str] = field(default_factory=dict)  # what follows an argument's name, such as ` // 2`
    conditions: dict[tuple[int, ...], tuple[str, str]] = field(default_factory=dict)  # of parts: name, rule
    choices: dict[int, Param] = field(default_factory=dict)  # part with two variants -> which

    def text(self, place: Place, *, inside: bool) -> str | None:
        """Return a slot's text; `inside` `forward`, arguments are read from the module."""
        param = self.bound.get(place)
        if param is None:
            return self.texts.get(place)
        return f"{'self.' if inside else ''}{param.name}{self.scaled.get(place, '')}"

    def kept(self) -> list[Param]:
        """Return the arguments that `forward` needs."""
        in_calls = {id(p) for place, p in self.bound.items() if not place[2]}
        return [p for p in self.every if id(p) in in_calls]

    def signature(self) -> str:
        """Return the arguments of `__init__`, each with its type."""
        parts = ["self"]
        for param in self.every:
            default = "" if param.default is None else f" = {value_text(param.default)}"
            parts.append(f"{param.name}: {type_text(v for v in param.values if v is not None)}{default}")
        return ", ".join(parts)

    def form(self, name: str, member: int) -> Form:
        """Return how a member is made."""
        slots = []
        for param in self.every:
            value = param.values[member]
            assert value is not None
            keyword = "" if param.seed else param.name
            slots.append(Slot(param.kind, value, keyword, param.default, param.name))
        return Form(f"{name}({{args}})", tuple(slots))


def params(family: Family, made: Made) -> Params:
    """Work out the arguments of a family's class, but for conditions and their order."""
    found = Params(family, made)
    seeds = _seeds(family)
    paddings: list[tuple[Place, Slot, list[Value | None]]] = []
    for place, slot, values in _slots(family, made):
        follows = (
            slot.kind == "stride" and None in values and any(p.takes("stride", values) for p in found.every)
        )
        if len({value_text(v) for v in values if v is not None}) == 1 and not follows:
            constant = next(v for v in values if v is not None)
            found.texts[place] = None if slot.usual(constant) else value_text(constant)
        elif slot.kind == "padding":
            paddings.append((place, slot, values))
        else:
            _bind(found, seeds, place, slot, values)
    _name(found, seeds)
    for place, slot, values in paddings:
        found.texts[place] = _derived_padding(found, place, values)
        if found.texts[place] is None:
            _bind(found, [], place, slot, values)
    _name(found, seeds)
    return found


def settle(found: Params) -> None:
    """Sort the arguments, fill what a member has no use for, and give defaults where they are usual."""
    inputs = [f"{name}_channels" for name in found.family.whole.inputs]
    names = [*inputs, "channels", "in_channels", "out_channels"]

    def rank(param: Param) -> tuple[bool, bool, int, int]:
        kind = ORDER.index(param.kind) if param.kind in ORDER else len(ORDER)
        named = names.index(param.name) if param.name in names else 0
        return param.default is not None, not param.seed, named, kind

    for param in found.every:
        known = [v for v in param.values if v is not None]
        if len(known) < len(param.values):
            param.default = known[0]
            param.values = [known[0] if v is None else v for v in param.values]
        elif param.kind in ("stride", "dilation") and any(_same(v, 1) for v in known):
            param.default = 1
    found.every.sort(key=rank)


def _slots(family: Family, made: Made) -> Iterator[tuple[Place, Slot, list[Value | None]]]:
    """Yield every slot of a family's text with its value in each member."""
    for number in range(len(family.whole.parts)):
        spellings = [spelt(own, made) if own else None for own in family.column(number)]
        variants = family.variants(number, made)
        for variant, module in enumerate(variants):
            of_member = [
                s.module if s and s.module and s.module.skeleton() == module.skeleton() else None
                for s in spellings
            ]
            for j, slot in enumerate(module.slots):
                yield (number, variant, True, j), slot, [f.slots[j].value if f else None for f in of_member]
        call = next(s.call for s in spellings if s is not None)
        for j, slot in enumerate(call.slots):
            yield (number, 0, False, j), slot, [s.call.slots[j].value if s else None for s in spellings]


def _seeds(family: Family) -> list[Param]:
    """Return the channels of each input and of the output, where they vary, as arguments that may be used."""
    units = [member.unit for member in family.members]
    outs: list[Value | None] = [u.shape[0] for u in units]
    seeds = []
    for i, name in enumerate(family.whole.inputs):
        ins: list[Value | None] = [u.shapes[i][0] for u in units]
        alone = len(family.whole.inputs) == 1
        if alone and ins == outs:
            return [Param("channels", ins, "channels", seed=True)]
        seeds.append(Param("channels", ins, "in_channels" if alone else f"{name}_channels", seed=True))
    return [*seeds, Param("channels", outs, "out_channels", seed=True)]


def _bind(found: Params, seeds: list[Param], place: Place, slot: Slot, values: list[Value | None]) -> None:
    known = [*seeds, *(p for p in found.every if p not in seeds)]
    param = next((p for p in known if p.takes(slot.kind, values)), None)
    if param is None and _may_multiply(found, slot, values):
        param, found.scaled[place] = next(_multiples(seeds, values), (None, ""))
    if param is None:
        param = Param(slot.kind, values)
    if param not in found.every:
        found.every.append(param)
    param.add(place, slot, param.values if found.scaled.get(place) else values)
    found.bound[place] = param


def _multiples(seeds: list[Param], values: list[Value | None]) -> Iterator[tuple[Param, str]]:
    """Yield channels of which some values are the same part or multiple in all members."""
    for ratio, seed in product(MULTIPLES, reversed(seeds)):
        pairs = [(v, n) for v, n in zip(values, seed.values, strict=True) if isinstance(n, int)]
        if all(v == n // ratio for v, n in pairs):
            yield seed, f" // {ratio}"
        if all(v == n * ratio for v, n in pairs):
            yield seed, f" * {ratio}"


def _may_multiply(found: Params, slot: Slot, values: list[Value | None]) -> bool:
    return slot.kind == "channels" and found.family.whole.height == 0 and None not in values


def _name(found: Params, seeds: list[Param]) -> None:
    """Name the arguments that have no name yet, apart from each other and from what the module holds."""
    paths = {part.path.partition(".")[0] for part in found.family.whole.parts}
    for param in found.every:
        if not param.name or (param.seed and param.name in paths):
            taken = {p.name for p in [*found.every, *seeds] if p is not param} | paths | TAKEN
            param.name = unused(_wanted(found, param, taken), taken)


def _wanted(found: Params, param: Param, taken: set[str]) -> str:
    parts = found.family.whole.parts
    paths = list(dict.fromkeys(parts[place[0]].path for place, _ in param.places))
    if param.kind != "channels":
        alone = param.kind not in taken
        return param.kind if alone else f"{snake(paths[0])}_{param.kind}"
    units = [isinstance(parts[place[0]].what, Unit) for place, _ in param.places]
    if all(units) and len(paths) > 2 and "width" not in taken:
        return "width"
    made = [parts[place[0]].path for place, slot in param.places if slot.role in ("out", "out_channels")]
    if made or all(units):
        return f"{snake((made or paths)[0])}_channels"
    return f"{snake(paths[0])}_{param.places[0][1].role or 'channels'}"


def _derived_padding(found: Params, place: Place, values: list[Value | None]) -> str | None:
    """Return padding as half of the kernel (times the dilation) where it is that in all members."""
    part, variant, module, _ = place
    kernel, dilation = (part, variant, module, 2 if module else 0), (part, variant, module, 5)
    columns = {p: v for p, _, v in _slots(found.family, found.made) if p in (kernel, dilation)}
    ones: list[Value | None] = [1] * len(values)
    kernels, dilations = columns[kernel], columns[dilation] if module else ones
    for p, k, d in zip(values, kernels, dilations, strict=True):
        if p is None:
            continue
        if not (isinstance(p, int) and isinstance(k, int) and isinstance(d, int)):
            return None
        if k % 2 == 0 or p != d * (k // 2):
            return None
    inside = not module
    d_text = found.text(dilation, inside=inside) or "1" if module else "1"
    if kernel not in found.bound:
        half = next(k // 2 for k in kernels if isinstance(k, int))
        return d_text if half == 1 else f"{half} * {d_text}"
    half_text = f"{found.text(kernel, inside=inside)} // 2"
    return half_text if d_text == "1" else f"{d_text} * ({half_text})"


def _same(one: Value, other: Value) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
