"""Small networks around every registered block, for tests of whatever interprets them."""

from dataclasses import MISSING, fields

from search_spaces import (
    ActSeparable,
    Block,
    Chain,
    Classifier,
    Conv,
    Edge,
    Network,
    Norm,
    Part,
    Pool,
    Shared,
    Skip,
    Stage,
    Use,
    Zero,
)  # fmt: skip
from search_spaces.data import REGISTER

REQUIRED: dict[str, dict[str, object]] = {  # values for fields without a default
    "Merge": {"tap": "stem"},
    "Use": {"name": "shared"},
    "Chain": {"parts": (Part(block=Conv(kernel=1), width=2), Part(block=Pool(), width=4))},
    "Branches": {
        "parts": (
            Part(block=Conv(kernel=1), width=3),
            Part(block=Chain(parts=(Part(block=Conv(), width=2), Part(block=Conv(), width=4))), width=4),
            Part(block=Pool(), width=1),
        )
    },
    "Cell": {
        "nodes": (
            (Edge(source=0, op=Skip()), Edge(source=1, op=ActSeparable())),
            (Edge(source=0, op=Pool()), Edge(source=2, op=Zero())),
            (Edge(source=1, op=Zero()),),
        )
    },
}
SHARED = Shared(name="shared", block=Conv())
BLOCKS = sorted(name for name, cls in REGISTER[Block].items() if cls.__module__.startswith("search_spaces."))


def example(name: str, **given: object) -> Block:
    """Return a registered block of our own by name, with the given fields where it has them."""
    cls = REGISTER[Block][name]
    known = {field.name for field in fields(cls)}
    missing = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
    values = REQUIRED.get(name, {}) | {key: value for key, value in given.items() if key in known}
    assert missing <= set(values), f"{name} needs values for {missing}; add them to REQUIRED in {__file__}"
    return cls(**values)


def around(
    block: Block, spatial: tuple[int, ...], *, stride: int = 1, width: int = 8, norm: Norm | None = None
) -> Network:
    """Return a network with the block twice: where it strides and widens, and where it keeps the shape."""
    norm = norm or Norm()
    return Network(
        input=(3, *spatial),
        stem=Stage(blocks=(Conv(norm=norm),), width=4),
        stages=(Stage(blocks=(block, block), width=width, stride=stride),),
        head=Classifier(classes=5, dropout=0.1),
        shared=(SHARED,) if isinstance(block, Use) else (),
    )
