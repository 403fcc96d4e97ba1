"""Networks as PyTorch source: the file computes what our modules compute, weight by weight, and reads well."""

import ast
import random
import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from zlib import crc32

import pytest
import torch
from examples import BLOCKS, around, example
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_torch_layers import convolutions, poolings
from torch import nn

from search_spaces import (
    Block,
    Branches,
    Cell,
    Chain,
    Choice,
    Classifier,
    Conv,
    Drop,
    Edge,
    Feature,
    MBConv,
    Merge,
    Network,
    Norm,
    Part,
    Place,
    Pool,
    ResidualBasic,
    Skip,
    Stage,
    concat,
    lower,
    register,
    sample,
)
from search_spaces.errors import BadSpec, Unbuildable
from search_spaces.graph import Graph, Node, Tracer
from search_spaces.layers import (
    ACTIVATIONS,
    Convolution,
    Dropout,
    Layer,
    Linear,
    Normalisation,
    Pooling,
    out_shape,
)
from search_spaces.modules import build, build_graph
from search_spaces.presets import PRESETS, preset
from search_spaces.source import to_source
from search_spaces.source_units import TAKEN
from search_spaces.zoo import MODELS, model

MAPS = {1: ((9,), (8,)), 2: ((7, 6), (8, 8)), 3: ((5, 4, 6), (4, 4, 4))}
EVERYWHERE = [(spatial, stride) for axes in MAPS for spatial in MAPS[axes] for stride in (1, 2)]
SOMEWHERE = [((9,), 2), ((7, 6), 1), ((4, 4, 4), 2)]
FAST = (
    "lenet5", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0", "googlenet",
)  # fmt: skip
FILES = count()
LONGEST_LINE = 110


def imported(text: str, folder: Path) -> ModuleType:
    """Return the module of a source text, read from a file under a name of its own; warnings are errors."""
    path = folder / f"written{next(FILES)}.py"
    path.write_text(text, encoding="utf-8")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec.loader.exec_module(module)
    return module


def well_formed(text: str) -> None:
    """Check what any reader of the text may rely on."""
    tree = ast.parse(text)
    modules = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or "?"])
    }
    assert modules == {"torch"}
    assert ast.get_docstring(tree)
    assert text.endswith("\n")
    assert [line for line in text.split("\n") if len(line) > LONGEST_LINE or line != line.rstrip()] == []


def same_network(source: Network | Graph, folder: Path, *, shape: tuple[int, ...] | None = None) -> str:
    """Check that the written file and our module are one function of weights and inputs; return the text."""
    text = to_source(source)
    well_formed(text)
    graph = lower(source) if isinstance(source, Network) else source
    ours = build_graph(graph)
    theirs = imported(text, folder).build()
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    parameters = {name: weight.shape for name, weight in ours.named_parameters()}
    assert {name: weight.shape for name, weight in theirs.named_parameters()} == parameters
    theirs.load_state_dict(ours.state_dict(), strict=True)
    inputs = [torch.rand(2, *(shape or given)) for given in graph.inputs]
    with torch.no_grad():
        for mode in (True, False):
            torch.manual_seed(0)
            expected = ours.train(mode)(*inputs)
            torch.manual_seed(0)  # the same values are dropped
            assert torch.equal(theirs.train(mode)(*inputs), expected)
    return text


@pytest.mark.parametrize(("spatial", "stride"), SOMEWHERE)
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_written_as_it_is_built(
    name: str, spatial: tuple[int, ...], stride: int, tmp_path: Path
) -> None:
    same_network(around(example(name), spatial, stride=stride), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("spatial", "stride"), EVERYWHERE)
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_written_for_every_map(
    name: str, spatial: tuple[int, ...], stride: int, tmp_path: Path
) -> None:
    for kernel, kind in ((3, "batch"), (2, "layer"), (4, "group"), (5, "instance"), (1, "none")):
        norm = Norm(kind=kind, groups=2)
        block = example(name, kernel=kernel, norm=norm)
        same_network(around(block, spatial, stride=stride, norm=norm), tmp_path)


@pytest.mark.parametrize("kind", ["group", "layer", "instance", "none"])
@pytest.mark.parametrize("name", ["MBConv", "ActSeparable", "HybridDilated", "ShuffleUnit"])
def test_every_norm_and_even_kernels_are_written(name: str, kind: str, tmp_path: Path) -> None:
    norm = Norm(kind=kind, groups=2, eps=1e-3)
    same_network(around(example(name, kernel=4, norm=norm), (6, 5), stride=2, norm=norm), tmp_path)


@pytest.mark.parametrize("act", [*ACTIVATIONS, "none"])
def test_every_activation_is_written(act: str, tmp_path: Path) -> None:
    same_network(around(example("MBConv", act=act), (6, 5)), tmp_path)


@pytest.mark.parametrize("name", PRESETS)
def test_members_of_every_preset_are_written(name: str, tmp_path: Path) -> None:
    settings = "(width=4, cells=5)" if name in ("darts", "nasbench201") else ""
    for number, shape in enumerate([(2, 17), (3, 9, 8)]):
        space = preset(f"{name}{settings}", shape, classes=5)
        same_network(sample(space, random.Random(number)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_many_members_of_every_preset_are_written(name: str, tmp_path: Path) -> None:
    for number in range(40):
        space = preset(name, [(3, 16, 16), (2, 33), (1, 9, 8, 10), (3, 64, 64)][number % 4], classes=5)
        same_network(sample(space, random.Random(number)), tmp_path)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in MODELS]
)
def test_published_networks_are_written(name: str, tmp_path: Path) -> None:
    network = model(name)
    dense = MODELS[name] in ("lenet", "alexnet", "vgg")
    small = (3, 65, 65) if MODELS[name] != "squeezenet" else (3, 97, 97)
    same_network(network, tmp_path, shape=None if dense or network.input[1] < 65 else small)


def lone(layer: Layer, *shapes: tuple[int, ...]) -> Graph:
    """Return the graph of one layer."""
    return Graph(
        shapes, (Node(layer, (*range(len(shapes)),), out_shape(layer, shapes), "layer"),), len(shapes)
    )


@given(poolings())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_pooling_is_written(tmp_path: Path, given_: tuple[Pooling, tuple[int, ...]]) -> None:
    layer, spatial = given_
    try:
        graph = lone(layer, (2, *spatial))
    except Unbuildable:
        assume(False)
    text = to_source(graph)
    well_formed(text)
    x = torch.rand(2, 2, *spatial)
    theirs = imported(text, tmp_path).build()(x)  # not a number where a window sees padding alone
    torch.testing.assert_close(theirs, build_graph(graph)(x), rtol=0, atol=0, equal_nan=True)


@given(convolutions())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_convolution_is_written(tmp_path: Path, given_: tuple[Convolution, tuple[int, ...]]) -> None:
    layer, shape = given_
    try:
        graph = lone(layer, shape)
    except Unbuildable:
        assume(False)
    same_network(graph, tmp_path)


@pytest.mark.parametrize("spatial", [(), (5,), (5, 4), (5, 4, 3)])
def test_every_other_layer_is_written(spatial: tuple[int, ...], tmp_path: Path) -> None:
    tracer = Tracer(((6, *spatial), (6, *spatial), (6,)))
    x, other, gates = tracer.features()
    kept = [x.shuffle(3), x.slice(1, 3), x.slice(0, 2), x.slice(2, 6), x * gates * other, x.act("prelu")]
    kept += [x.dropout(0.3, of=of) for of in ("value", "channel", "sample")]
    kept += [x.norm(Norm(kind=kind, groups=3)) for kind in ("batch", "group", "layer", "instance")]
    if spatial:
        half = tuple(n // 2 for n in spatial)
        kept += [x.zeros(3), x.upsample(spatial), x.shift((1, -9, 2)[: len(spatial)])]
        kept += [x.pad(((1, 0),) * len(spatial), value=2.0).pad(((-1, 0),) * len(spatial))]
        kept += [
            x.adaptive_pool(kind, half).upsample(spatial, kind=resize)
            for kind in ("max", "average")
            for resize in ("nearest", "linear")
        ]
    same_network(tracer.finish(concat(*kept).flatten().linear(3, bias=False)), tmp_path)


def test_groups_of_one_value_are_normalised(tmp_path: Path) -> None:
    graph = lone(Normalisation(kind="instance"), (4, 1, 1))
    x, module = torch.rand(1, 4, 1, 1), imported(to_source(graph), tmp_path).build()
    assert torch.equal(module(x), build_graph(graph)(x))


def test_what_only_training_shows_is_there(tmp_path: Path) -> None:
    text = same_network(around(Drop(rate=0.5, of="sample"), (4, 4)), tmp_path)
    assert "class SampleDropout(nn.Module)" in text
    module = imported(to_source(lone(Dropout(rate=0.25, of="sample"), (3,))), tmp_path).build()
    torch.manual_seed(0)
    assert sorted(set(module(torch.ones(400, 3)).unique().tolist())) == pytest.approx([0, 4 / 3])


CELL = Cell(nodes=((Edge(source=0, op=Skip()), Edge(source=1, op=Conv())),), output=(0, 2))
CELLS = Stage(blocks=(CELL, CELL), width=4)
PLAIN = Stage(blocks=(Conv(), Conv()), width=4)
PAIR = Branches(parts=(Part(block=CELL, width=4), Part(block=Merge(tap="stem"), width=2)))
REACHES = (  # stages whose blocks read more than what is just before them
    (Stage(blocks=(Conv(), CELL), width=4), Stage(blocks=(CELL,), width=4)),
    (PLAIN, Stage(blocks=(CELL,), width=4)),
    (CELLS, PLAIN, Stage(blocks=(Merge(tap="stages.0"),), width=6)),
    (
        Stage(blocks=(Conv(), Pool()), width=4, stride=2),
        Stage(blocks=(Conv(),), width=8, stride=2),
        Stage(blocks=(Merge(tap="stages.0", join="sum"), Conv()), width=4),
        Stage(blocks=(Merge(tap="stem"), Merge(tap="stages.0", join="product")), width=4),
    ),
    (CELLS, CELLS, Stage(blocks=(Merge(tap="stages.0"), CELL), width=4)),
    (Stage(blocks=(Chain(parts=(Part(block=Conv(), width=2), Part(block=CELL, width=4))),) * 2, width=4),),
    (Stage(blocks=(PAIR, Conv()), width=6),),
    (CELLS, PLAIN, CELLS, CELLS, Stage(blocks=(Conv(),), width=3)),
)


@pytest.mark.parametrize("stages", REACHES)
@pytest.mark.parametrize("stem", [None, Stage(blocks=(Conv(),), width=4)])
def test_features_pass_as_blocks_read_them(
    stages: tuple[Stage, ...], stem: Stage | None, tmp_path: Path
) -> None:
    if stem is None and "stem" in repr(stages):
        pytest.skip("there is no stem to read")
    same_network(Network(input=(3, 9, 8), stem=stem, stages=stages, head=Classifier(classes=2)), tmp_path)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Return networks whose blocks read one or two of the newest features, and earlier stages."""
    stem = draw(st.sampled_from([None, (Conv(),), (CELL,), (Conv(), CELL)]))
    known = ["stem"] if stem else []
    stages = []
    for number in range(draw(st.integers(1, 5))):
        readers = [Merge(tap=tap, join="sum") for tap in known]
        blocks = draw(
            st.lists(st.sampled_from([Conv(), CELL, CELL, Pool(), *readers]), min_size=1, max_size=3)
        )
        stages.append(Stage(blocks=tuple(blocks), width=4))
        known.append(f"stages.{number}")
    first = None if stem is None else Stage(blocks=stem, width=4)
    return Network(input=(4, 5), stem=first, stages=tuple(stages), head=Classifier(classes=2))


@given(networks())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_features_pass_in_any_order_of_blocks(tmp_path: Path, network: Network) -> None:
    same_network(network, tmp_path)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor(Block):
    '''A user's "block" \\ whose class and layers have awkward names: """.'''

    def lower(self, place: Place) -> Feature:
        """Names that Python cannot say, or that stand for something else in the file."""
        x = place.input.conv(place.width, stride=place.stride, name="1x1")
        for name in ("class", "F", 'quo"te', "it's", "x", "torch", "back\\slash", "{self}"):
            x = x + x.conv(place.width, name=name).act("relu", name=f"act {name}")
        with place.input.tracer.within("torch"):
            return x.conv(place.width, name="keys") + x.conv(place.width, name="2")


def test_awkward_names_are_written_safely(tmp_path: Path) -> None:
    text = same_network(around(Tensor(), (5, 4), stride=2), tmp_path)
    assert "class Tensor2(nn.Module)" in text
    well_formed(to_source(around(Conv(), (5, 4)), name='1 """ \\ \n {x} class'))
    assert "class TensorNetwork(nn.Module)" in to_source(lone(Linear(out=2), (3,)), name="Tensor")


def test_a_graph_keeps_its_names_however_deep(tmp_path: Path) -> None:
    text = same_network(lower(around(ResidualBasic(), (5, 4), stride=2)), tmp_path)
    assert "class Blocks" not in text
    tracer = Tracer(((3, 4, 4), (3, 4, 4)))
    x, y = tracer.features()
    with tracer.within("pair"):  # hands on two values: no class of its own
        x, y = x.conv(4), y.conv(4)
    with tracer.within("deep"), tracer.within("er"):
        x = (x + y).conv(4).norm(Norm())
        x.conv(5, name="unread").norm(Norm(), name="unread_norm")
        y = x * y
    same_network(tracer.finish(y.act("relu")), tmp_path)


@pytest.mark.parametrize("name", ["forward", "type", "a..b", ""])
def test_a_name_that_torch_has_taken_is_refused(name: str) -> None:
    with pytest.raises(Unbuildable, match="rename it"):
        to_source(Graph(((3,),), (Node(Linear(out=2), (0,), (2,), name),), 1))


def test_all_names_that_torch_has_taken_are_known() -> None:
    assert {name for name in dir(nn.Module()) if not name.startswith("_")} <= TAKEN


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(Unbuildable, match="less than kernel"):
        to_source(lone(Pooling(kind="max", kernel=(2,), stride=(1,), padding=((2, 0),)), (1, 3)))
    with pytest.raises(BadSpec, match=r"^stages\[0\]\.blocks\[0\]\.kernel"):
        to_source(around(Conv(kernel=Choice(3, 5)), (4, 4)))


def test_equal_specs_give_equal_bytes() -> None:
    one, other = (sample(preset("mixed", (3, 16, 16), classes=3), random.Random(1)) for _ in range(2))
    assert to_source(one, macs=5) == to_source(other, macs=5)


def test_the_text_does_not_depend_on_the_process_and_needs_no_torch() -> None:
    program = (
        "import sys, zlib; from search_spaces.zoo import model; from search_spaces.source import to_source; "
        "print(zlib.crc32(to_source(model('nasnet_a_cifar')).encode()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{crc32(to_source(model('nasnet_a_cifar')).encode())} False\n"


def test_the_file_runs_as_a_script_without_warnings(tmp_path: Path) -> None:
    path = tmp_path / "lenet5.py"
    path.write_text(to_source(model("lenet5"), name="lenet5", macs=416_520), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("(2, 1, 28, 28) -> (2, 10), 61,706 parameters\n", "")


def test_the_docstring_says_what_the_network_is() -> None:
    text = to_source(model("lenet5"), name="lenet5", macs=416_520)
    first, _, third, *_ = (ast.get_docstring(ast.parse(text)) or "").split("\n")
    assert first == "lenet5: 61,706 parameters, 416,520 multiply-adds, (N, 1, 28, 28) -> (N, 10)."
    assert "e02a71a274635365" in third  # the key
    assert "class Lenet5(nn.Module):" in text


def test_weights_start_as_ours_do(tmp_path: Path) -> None:
    network = around(MBConv(expand=8.0), (8, 8), width=64)
    torch.manual_seed(0)
    ours, theirs = build(network), imported(to_source(network), tmp_path).build()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if one.dim() == 1:
            assert torch.equal(one, other), name
        elif one.numel() > 500:
            assert other.std().item() == pytest.approx(one.std().item(), rel=0.15), name
            assert abs(other.mean().item()) < 0.2 * one.std().item(), name


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "darts_v2_cifar", "nasnet_a_cifar", "googlenet", "lenet5"]
)
def test_linters_have_nothing_to_say(name: str, tmp_path: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("there is no ruff")
    path = tmp_path / "written.py"
    path.write_text(to_source(model(name), name=name, macs=1), encoding="utf-8")
    options = ["--isolated", "--no-cache", "--target-version", "py311"]
    for command in (["check", *options], ["format", "--check", *options, "--line-length", str(LONGEST_LINE)]):
        done = subprocess.run([ruff, *command, str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_equal_blocks_share_a_class() -> None:
    text = to_source(model("efficientnet_b0"), name="efficientnet_b0")
    assert text.count("class MBConv") == 1
    assert "MBConv(16, 24, expand_channels=96, kernel=3, stride=2)," in text
    assert "self.residual = stride == 1 and in_channels == out_channels" in text
    assert "self.has_expand = expand_channels != in_channels" in text
    assert len(text.split("\n")) < 200
    assert len(to_source(model("efficientnet_b7")).split("\n")) < 200


def test_cells_read_as_cells() -> None:
    text = to_source(model("darts_v2_cifar"))
    assert text.count("class NormalCell") == text.count("class ReduceCell") == 1
    assert "node2 = self.node2.edge0(older) + self.node2.edge1(newer)" in text
    assert "return torch.cat([node2, node3, node4, node5], dim=1)" in text
    assert "newer, older = stage(newer, older)" in text


def test_plain_chains_are_sequences() -> None:
    text = to_source(model("resnet18"))
    assert "Stage(ResidualBasic(64, 128, stride=2), ResidualBasic(128, 128))," in text
    assert "self.stem = Stage(Conv(), nn.MaxPool2d(3, stride=2, padding=1))" in text
