"""A network as the text of one Python file that needs torch alone: what a search found, to be taken home.

The file defines the network that `modules.build` makes, in classes as one would write them by hand: equal blocks
share a class, what differs between them is its arguments, and every weight has the same name.
"""

from __future__ import annotations

from collections.abc import Sequence

from .graph import Graph
from .layers import Shape, parameter_count
from .network import Network, lower, steps
from .serialise import key
from .source_helpers import NAMES, helpers, initialise
from .source_stages import lone, network_class, runs
from .source_text import INDENT, WIDTH, class_name, indented, prose
from .source_units import Label, step_labels, step_unit, unit
from .source_write import classes, docstring


def to_source(network: Network | Graph, *, name: str = "network", macs: int | None = None) -> str:
    """Return the text of a Python file with a resolved network, or any graph of layers, as a `torch.nn.Module`.

    `name` becomes the class's, `efficientnet_b0` as `EfficientnetB0`, and stands in the docstring with the input's
    shape, the parameters, the network's key and, where given, `macs`. The file has `build()`, which returns the
    network with fresh weights; run as a script, it passes random numbers through. The state dict's keys are those of
    `modules.build`, so weights can be loaded as they are. Equal arguments give equal text. Raises `Unbuildable` where
    layers do not fit together, `BadSpec` where a choice was left open.
    """
    graph = lower(network) if isinstance(network, Network) else network
    title = class_name(name)
    title = f"{title}Network" if title in NAMES else title
    if isinstance(network, Network):
        own = _network(network, title, _shapes(graph))
    else:
        own, _ = classes(
            [unit(graph, Label(title, _shapes(graph)), labels={}, inputs=_inputs(graph))], set(NAMES)
        )
    return _file(own, title, graph.inputs, header=_header(network, graph, name=prose(name), macs=macs))


def _network(network: Network, title: str, shapes: str) -> list[list[str]]:
    lowered = steps(network)
    units = [step_unit(*pair) for pair in zip(lowered, step_labels(network, lowered), strict=True)]
    alone = [lone(one) for one in units]
    own, made = classes([u for u, text in zip(units, alone, strict=True) if text is None], {*NAMES, title})
    texts = [text or made[one].constant() for one, text in zip(units, alone, strict=True)]
    return [*own, network_class(title, docstring(shapes, WIDTH - len(INDENT)), runs(lowered, texts), lowered)]


def _inputs(graph: Graph) -> tuple[str, ...]:
    return ("x",) if len(graph.inputs) == 1 else tuple(f"x{i}" for i in range(len(graph.inputs)))


def _shapes(graph: Graph) -> str:
    shapes = [f"(N, {', '.join(map(str, shape))})" for shape in (*graph.inputs, graph.shape(graph.output))]
    return f"{', '.join(shapes[:-1])} -> {shapes[-1]}"


def _header(network: Network | Graph, graph: Graph, *, name: str, macs: int | None) -> list[str]:
    params = sum(parameter_count(node.layer, tuple(map(graph.shape, node.sources))) for node in graph.nodes)
    costs = f"{params:,} parameters" + ("" if macs is None else f", {macs:,} multiply-adds")
    lines = docstring(f"{name}: {costs}, {_shapes(graph)}", WIDTH)
    lines[-1] = lines[-1].removesuffix('"""')
    lines = lines if lines[-1] else lines[:-1]
    of = f"Written from the architecture {key(network)}" if isinstance(network, Network) else "Written"
    return [
        *lines,
        "",
        f"{of} by archscale; needs torch alone. The names of the weights",
        "are those of its weights files: `build().load_state_dict(weights)` takes them as they are.",
        '"""',
    ]


def _file(own: Sequence[list[str]], title: str, shapes: Sequence[Shape], *, header: list[str]) -> str:
    """Join the parts of a file with two empty lines between them."""
    body = "\n".join(line for lines in own for line in lines)
    before = list(helpers(body))
    text = "\n".join([body, *("\n".join(lines) for lines in before)])
    draws = initialise(text)
    parts = [*before, *own, *([draws] if draws else []), _build(title, draws=bool(draws))]
    joined = "\n\n\n".join("\n".join(lines) for lines in (*parts, _main(shapes)))
    gap = [""] if parts[0][0].startswith("class ") else []  # what is no class stands closer to the imports
    return "\n".join([*header, "", *_imports(text), "", *gap, joined, ""])


def _imports(text: str) -> list[str]:
    functional = ["from torch.nn import functional as F"] if "F." in text else []
    return ["import torch", "from torch import Tensor, nn", *functional]


def _build(title: str, *, draws: bool) -> list[str]:
    return [
        "def build() -> nn.Module:",
        f'{INDENT}"""Return the network with fresh weights, in training mode."""',
        f"{INDENT}return {title}(){'.apply(initialise)' if draws else ''}",
    ]


def _main(shapes: Sequence[Shape]) -> list[str]:
    """Write what the file does as a script: random numbers through the network."""
    rows = [f"torch.rand({', '.join(['2', *map(str, shape)])})" for shape in shapes]
    if len(rows) == 1:
        made, read, said = [f"x = {rows[0]}"], "x", "{tuple(x.shape)}"
    else:
        made = ["xs = [", *(f"{INDENT}{row}," for row in rows), "]"]
        read, said = "*xs", "{[tuple(x.shape) for x in xs]}"
    lines = [
        "network = build().eval()",
        *made,
        "with torch.no_grad():",
        f"{INDENT}y = network({read})",
        "count = sum(weight.numel() for weight in network.parameters())",
        f'print(f"{said} -> {{tuple(y.shape)}}, {{count:,}} parameters")',
    ]
    return ['if __name__ == "__main__":', *indented(lines)]
