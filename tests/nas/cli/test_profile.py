"""`nas profile`: the worked examples, stages, witnesses, modules of the user's own, and the picture."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import document

import nas.cli.cost_report as cost_report
from nas.analysis.bars import Bar, bars_figure
from search_spaces import Classifier, Conv, DepthwiseSeparable, DilatedConv, Network, Stage, to_json
from search_spaces.errors import BadInput

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
OWN = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Module()
        self.net.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU())
        self.net.head = nn.Linear(8, 5)
    def forward(self, x):
        return self.net.head(self.net.features(x).mean((2, 3)))

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = nn.LSTM(4, 5, batch_first=True)
        self.spare = nn.Linear(2, 2)
    def forward(self, x):
        return self.recurrent(x)[0]

class Needy(nn.Module):
    def __init__(self, width):
        super().__init__()

def broken():
    raise RuntimeError("no\\nluck")

ready, number = Small(), 4
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module of the user's own."""
    (tmp_path / "ownprofilenets.py").write_text(OWN)
    (tmp_path / "ownprofilebroken.py").write_text("x = (")
    monkeypatch.syspath_prepend(tmp_path)
    return "ownprofilenets"


def profiled(nas, folder: Path, shape: tuple[int, ...], *stages: Stage) -> list[dict[str, object]]:
    """Return the layers of a network that `nas profile` shows, from a file."""
    path = folder / "net.json"
    path.write_text(to_json(Network(input=shape, stages=stages, head=Classifier(classes=10))))
    return document(nas("profile", path, "--json")[1])["layers"]


def test_a_stride_over_padding_gives_the_worked_example(nas, tmp_path):
    conv = Stage(blocks=(Conv(kernel=3, padding=2),), width=4, stride=2)
    assert profiled(nas, tmp_path, (1, 11, 11), conv)[0]["shape"] == [4, 7, 7]


@pytest.mark.parametrize(("dilation", "field"), [(1, 3), (2, 5), (3, 7), (4, 9)])
def test_dilation_widens_the_view_as_in_the_worked_example(nas, tmp_path, dilation, field):
    conv = Stage(blocks=(DilatedConv(dilation=dilation),), width=4)
    assert profiled(nas, tmp_path, (1, 32, 32), conv)[0]["receptive_field"] == [field, field]


def test_stacked_dilations_widen_the_view_as_in_the_worked_example(nas, tmp_path):
    stack = Stage(blocks=tuple(DilatedConv(dilation=d) for d in (1, 2, 4)), width=4)
    layers = [
        layer for layer in profiled(nas, tmp_path, (1, 32, 32), stack) if layer["layer"] == "Convolution"
    ]
    assert [layer["receptive_field"] for layer in layers] == [[3, 3], [7, 7], [15, 15]]


def test_convolutions_cost_what_the_worked_examples_say(nas, tmp_path):
    dense = profiled(nas, tmp_path, (64, 56, 56), Stage(blocks=(Conv(),), width=128))
    assert dense[0]["macs"] == 231_211_008
    parts = profiled(nas, tmp_path, (64, 56, 56), Stage(blocks=(DepthwiseSeparable(),), width=128))
    macs = [layer["macs"] for layer in parts if layer["layer"] == "Convolution"]
    assert macs == [1_806_336, 25_690_112]
    assert sum(macs) == 27_496_448


def test_stages_share_out_the_whole(nas):
    said = document(nas("profile", "efficientnet_b0", "--json")[1])
    assert [stage["name"] for stage in said["stages"]] == ["stem", *(f"stages.{i}" for i in range(7)), "head"]
    for name in ("params", "macs", "activations"):
        assert sum(stage[name] for stage in said["stages"]) == said[name]
    assert said["stages"][5]["shape"] == [112, 14, 14]
    assert said["witnesses"] is None


def test_few_layers_are_shown_one_by_one_and_many_by_block(nas):
    _, few, _ = nas("profile", "lenet5")
    assert re.search(r"^stages\.0\.blocks\.0\.conv +6x28x28 +156 +118k +28.2 % +4.7k +5$", few, re.MULTILINE)
    _, many, _ = nas("profile", "mobilenet_v1")
    assert re.search(r"^stages\.4\.blocks\.0 ", many, re.MULTILINE)
    assert "--by layer shows all 84 layers" in many
    assert max(map(len, many.splitlines()[2:])) <= 80
    _, everything, _ = nas("profile", "mobilenet_v1", "--by", "layer")
    names = [layer["name"] for layer in document(nas("profile", "mobilenet_v1", "--json")[1])["layers"]]
    assert re.findall(r"^(\S+) +\d", everything, re.MULTILINE)[: len(names)] == names


def test_bars_are_as_long_as_the_stages_cost(nas):
    _, out, _ = nas("profile", "lenet5", "--by", "stage")
    bars = {name: len(blocks) for name, blocks in re.findall(r"^(\S+) .* % +(█+)", out, re.MULTILINE)}
    assert bars == {"stages.0": 11, "stages.1": 24, "head": 5}
    tried = doctest.testmod(cost_report)
    assert tried.attempted
    assert not tried.failed


def test_both_witnesses_stand_beside_the_formula_with_what_they_count_more(nas):
    said = document(nas("profile", "squeezenet1_1", "--input", "3,64,64", "--witness", "--json")[1])
    counter, fvcore = said["witnesses"]
    assert (counter["witness"], fvcore["witness"]) == ("FlopCounterMode", "fvcore")
    assert counter["macs"] == fvcore["macs"] == said["macs"]
    assert (counter["beyond"], fvcore["beyond"]) == ({}, {"adaptive_avg_pool2d": 9_000})
    assert fvcore["unknown"] == {"aten::max_pool2d": 3}
    _, out, _ = nas("profile", "lenet5", "--witness")
    assert re.search(r"^our formula +416,520$", out, re.MULTILINE)
    assert re.search(r"^fvcore +416,520 +agrees$", out, re.MULTILINE)
    assert "fvcore has no formula for tanh (4), avg_pool2d (2)" in out


def test_a_witness_that_disagrees_says_by_how_much(nas, monkeypatch):
    import scaling.trace

    wrong = scaling.trace.Witness(name="fvcore", operators={"conv": 416_500})
    failed = scaling.trace.Witness(name="FlopCounterMode", failure="TypeError: no")
    monkeypatch.setattr(scaling.trace, "witnesses", lambda *_: (failed, wrong))
    _, out, _ = nas("profile", "lenet5", "--witness")
    assert re.search(r"^fvcore +416,500 +-20$", out, re.MULTILINE)
    assert "FlopCounterMode failed: TypeError: no" in out


@pytest.mark.parametrize("attribute", ["Small", "ready"])
def test_a_module_of_the_users_own_is_counted_as_it_runs(nas, own, attribute):
    said = document(nas("profile", f"{own}:{attribute}", "--input", "3,6,6", "--json")[1])
    assert (said["key"], said["peak_bytes"]) == (None, None)
    assert (said["params"], said["macs"]) == (3 * 8 * 9 + 8 + 16 + 45, 3 * 8 * 9 * 36 + 40)
    assert [layer["name"] for layer in said["layers"]][-1] == "net.head"
    assert said["layers"][0]["shape"] == [8, 6, 6]
    assert said["layers"][0]["receptive_field"] is None
    assert [stage["name"] for stage in said["stages"]] == ["net.features", "net.head"]
    assert {one["macs"] for one in said["witnesses"]} == {said["macs"]}


def test_what_no_witness_could_count_of_a_module_is_said(nas, own):
    _, out, _ = nas("profile", f"{own}:Recurrent", "--input", "7,4")
    assert re.search(r"^recurrent +LSTM +7x5 +220$", out, re.MULTILINE)
    assert "aten.mkldnn_rnn_layer reads matrices of weights: its multiply-adds are in no total" in out
    assert re.search(r"fvcore has no formula for .*lstm \(1\)", out)
    assert re.search(r"^never called +spare:", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{own}:Small"], "--input"),
        (["{own}:Small", "--input", "1,6,6"], "net.features.0 (Conv2d) cannot take an input of (1, 1, 6, 6)"),
        (["{own}:Smal", "--input", "3,6,6"], "did you mean 'Small'"),
        (["{own}:number", "--input", "3,6,6"], "got a int"),
        (["{own}:Needy", "--input", "3,6,6"], "missing 1 required positional argument"),
        (["{own}:broken", "--input", "3,6,6"], "raised RuntimeError: no luck"),
        (["ownprofilebroken:x", "--input", "3,6,6"], "raised SyntaxError"),
        (["nosuchmodule:net", "--input", "3,6,6"], "PYTHONPATH"),
        (["lenet5", "--by", "row"], "'layer', 'block', 'stage'"),
        (["lenet5", "--plot", "{folder}/x.bmp"], "expected .png, .svg, .pdf"),
        (["efficientnet_b1", "--by", "layer", "--plot", "{folder}/x.png"], "--by stage"),
    ],
)
def test_bad_input_is_one_message(nas, own, tmp_path, arguments, says):
    code, out, err = nas("profile", *(argument.format(own=own, folder=tmp_path) for argument in arguments))
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_picture_is_written_the_same_each_time(nas, tmp_path):
    files = [tmp_path / name for name in ("one.png", "two.png")]
    for path in files:
        said = document(nas("profile", "lenet5", "--plot", path, "--json")[1])
        assert said["files"] == [str(path)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes().startswith(b"\x89PNG")


def test_bars_on_paper_are_shares_on_one_scale():
    bars = [Bar(name="a", macs=3, activations=1, params=0), Bar(name="b", macs=1, activations=1, params=7)]
    figure = bars_figure(bars, title="two parts")
    widths = {
        axes.patches[0].get_gid(): [patch.get_width() for patch in axes.patches] for axes in figure.axes
    }
    assert widths == {"macs": [75, 25], "activations": [50, 50], "params": [0, 100]}
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    with pytest.raises(BadInput, match="got 0 bars"):
        bars_figure([], title="none")


def test_the_plain_profile_loads_no_heavy_library():
    program = (
        "import sys; from nas.__main__ import run; run(['profile', 'lenet5']);"
        "print([n for n in ('torch', 'fvcore', 'matplotlib', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_documented_json_has_the_keys_that_are_printed(nas):
    section = DOCS.read_text().partition("### `nas profile --json`")[2]
    plain, witness = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", section, re.DOTALL)[:2])
    said = document(nas("profile", "lenet5", "--witness", "--json")[1])
    assert set(plain) == set(said)
    assert set(plain["layers"][0]) == set(plain["stages"][0]) == set(said["layers"][0])
    assert set(witness["witnesses"][0]) == set(said["witnesses"][0])
