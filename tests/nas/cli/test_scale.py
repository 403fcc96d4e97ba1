"""`nas scale`: published tables exactly, its folder, what people read, and what is refused."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch
from conftest import document
from oracles import hooked_costs

import nas.cli.scale as scale_command
import scaling.latency
import scaling.latency_budget
from nas.family_file import member_names, stem_of
from nas.family_folder import FAMILY, read_family
from nas.latency import Latencies, Latency
from scaling.compound import Scaling
from scaling.cost import cost
from scaling.family import family, parse_target
from scaling.latency_budget import MeasuredLatency, Normalised
from scaling.providers import LATENCY
from scaling.rules import DWr
from scaling.timing import Session
from search_spaces import Network, key, sample, to_json
from search_spaces.modules import build
from search_spaces.presets import PRESETS
from search_spaces.serialise import load
from search_spaces.zoo import model

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
PUBLISHED = {  # params and MACs of the published table
    "efficientnet_b0": (5_288_548, 385_814_752),
    "efficientnet_b1": (7_794_184, 686_802_832),
    "efficientnet_b2": (9_109_994, 993_561_872),
    "efficientnet_b3": (12_233_232, 1_827_141_392),
    "efficientnet_b4": (19_341_616, 4_393_771_024),
    "efficientnet_b5": (30_389_784, 10_266_384_752),
    "efficientnet_b6": (43_040_704, 19_067_593_536),
    "efficientnet_b7": (66_347_960, 37_745_884_192),
}
OWN_RULE = """
from dataclasses import dataclass
from scaling.rules import Factors, Rule
from search_spaces import register

@register
@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyWiderBy(Rule):
    by: float = 2.0

    def factors(self, phi, axes):
        return Factors(width=self.by**phi)
"""


@pytest.fixture(scope="session")
def b0(tmp_path_factory):
    """Return the folder and the JSON of B0 scaled by the table."""
    import contextlib
    import io

    from nas.__main__ import run

    home, out = tmp_path_factory.mktemp("families"), io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(
            ["scale", "efficientnet_b0", "--rule", "table", "--name", "b", "--results", str(home), "--json"]
        )
    assert code == 0
    return home / "b", document(out.getvalue())


@pytest.fixture
def small(tmp_path):
    """Return the file of a small base, a member of `mobile` for images of 32."""
    path = tmp_path / "small.json"
    path.write_text(to_json(sample(PRESETS["mobile"]((3, 32, 32), 10), random.Random(3))))
    return path


def imported(path: Path) -> ModuleType:
    """Import a member's source by its path."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_makes_b0_to_b7_as_published(b0):
    _, said = b0
    assert {m["name"]: (m["params"], m["macs"]) for m in said["members"]} == PUBLISHED
    assert [m["key"] for m in said["members"]] == [key(model(name)) for name in PUBLISHED]
    assert [m["input"][1] for m in said["members"]] == [224, 240, 260, 300, 380, 456, 528, 600]
    assert [m["requested"]["width"] for m in said["members"]] == [1.0, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0]


BY_SIZE = [
    name if name == "efficientnet_b0" else pytest.param(name, marks=pytest.mark.slow) for name in PUBLISHED
]


@pytest.mark.parametrize("name", BY_SIZE)
def test_each_source_counts_as_torchvisions_class_does(torchvision: ModuleType, b0, name: str) -> None:
    folder, _ = b0
    shape = tuple(load(folder / f"{name}.json").input)
    with torch.device("meta"):
        theirs = hooked_costs(getattr(torchvision.models, name)(), shape)
        ours = hooked_costs(imported(folder / f"{name}.py").build(), shape)
    assert ours == theirs
    assert ours[:2] == PUBLISHED[name]


def sources_compute_the_same(folder: Path, network: Network, name: str) -> None:
    """Hold a member's source against the module that is built of its spec."""
    ours, theirs = build(network).eval(), imported(folder / f"{name}.py").build().eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(2, *network.input, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_sources_import_and_compute_what_the_specs_build(small, tmp_path, nas):
    code, _, err = nas("scale", small, "--phi=-1,1", "--name", "f", "--results", tmp_path)
    assert (code, err) == (0, "")
    record = read_family(tmp_path / "f")
    assert [m.name for m in record.file.members] == ["small_phi_minus_1", "small_phi_1"]
    for member, network in zip(record.file.members, record.networks, strict=True):
        sources_compute_the_same(tmp_path / "f", network, member.name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["resnet18", "shufflenet_v2_x0_5", "darts_v2_cifar", "googlenet", "lenet5", "mobilenet_v3_small"]
)
def test_sources_of_published_families_compute_what_the_specs_build(text, tmp_path, nas):
    options = ("--fix", "resolution") if text == "lenet5" else ()
    nas("scale", text, "--phi=-2,-0.5,0.5", "--name", "f", "--results", tmp_path, *options)
    record = read_family(tmp_path / "f")
    for member, network in zip(record.file.members, record.networks, strict=True):
        sources_compute_the_same(tmp_path / "f", network, member.name)


def test_the_file_says_enough_to_make_the_same_family_again(small, tmp_path, nas):
    asked = ("--target=macs <= 9M", "--target=macs<=30M, params<=1M", "--phi=-1,0,0.5", "--rule=dwr growth=3")
    nas("scale", small, *asked, "--fix=depth", "--divisor=4", "--name=f", "--results", tmp_path)
    file = read_family(tmp_path / "f").file
    assert file.scaling.rule == DWr(growth=3.0)
    again = family(
        file.base,
        phis=file.phis,
        targets=[parse_target(text) for text in file.targets],
        scaling=file.scaling,
    )
    assert [key(member.network) for member in again.members] == [member.key for member in file.members]
    assert member_names(again, file.model) == tuple(member.name for member in file.members)
    plain = json.loads((tmp_path / "f" / FAMILY).read_text())["family"]
    assert plain["scaling"]["rounding"] == {
        "divisor": 4, "keep": 0.9, "repeats": "ceil", "resolution_multiple": 1,
    }  # fmt: skip


def test_a_folder_has_the_table_the_picture_and_two_files_a_member(b0):
    folder, said = b0
    names = sorted(path.name for path in folder.iterdir())
    members = [f"{name}.{kind}" for name in PUBLISHED for kind in ("json", "py")]
    assert names == sorted([*members, "family.csv", "family.json", "family.png"])
    assert sorted(said["files"]) == sorted(str(folder / name) for name in names)
    assert (folder / "family.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "family.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], int(row["macs"])) for row in rows] == [(n, m) for n, (_, m) in PUBLISHED.items()]


def test_a_target_says_what_was_got_what_binds_and_which_step_goes_beyond(tmp_path, nas):
    given = ("scale", "efficientnet_b0", "--target=macs<=300M", "--target=macs<=1G, params<=8M", "--results")
    said = document(nas(*given, tmp_path, "--name=one", "--json")[1])
    first, second = said["members"]
    assert first["binds"] == "macs"
    assert first["requested"]["macs"] == 300e6
    assert first["achieved"]["macs"] == first["macs"] <= 300e6
    (request,) = first["requests"]
    assert request["short"] == pytest.approx(1 - first["macs"] / 300e6)
    assert request["next_step"]["breaks"][0]["value"] > 300e6
    assert (second["binds"], second["requested"]["params"]) == ("params", 8e6)
    _, out, _ = nas(*given, tmp_path, "--name=two")
    assert re.search(
        r"macs <= 300M: got macs [\d.]+M; macs binds, [\d.]+ % short: the next step \(.+\) has macs \d", out
    )
    assert "next" in out.splitlines()[-1]
    assert f"{tmp_path}/two/family.json" in out


def test_what_is_merged_and_unusual_growth_are_said(small, tmp_path, nas):
    _, out, _ = nas("scale", small, "--rule=compound alpha=3", "--phi=1.1,1.1001", "--results", tmp_path)
    assert "far from 2: each step of phi makes the expected cost 4.8 times as high" in out
    assert "phi 1.1 rounds to the same network as phi 1.1001: one member for both" in out


def test_without_phi_and_target_there_are_all_rows_or_phi_0_to_3(small, tmp_path, nas, b0):
    assert len(b0[1]["members"]) == 8
    said = document(nas("scale", small, "--results", tmp_path, "--json")[1])
    assert [m["phi"] for m in said["members"]] == [0, 1, 2, 3]
    assert said["run"] == "small-compound-1"
    assert document(nas("scale", small, "--results", tmp_path, "--json")[1])["run"] == "small-compound-2"


def test_rows_of_the_table_are_known_by_name_and_named_after_another_base(tmp_path, nas):
    given = ("scale", "resnet18", "--rule=table", "--phi=efficientnet_b1,2", "--results", tmp_path, "--json")
    said = document(nas(*given)[1])
    assert [m["name"] for m in said["members"]] == [
        "resnet18_as_efficientnet_b1",
        "resnet18_as_efficientnet_b2",
    ]


@pytest.mark.parametrize(
    ("text", "phis"),
    [("-1,0,0.5", (-1, 0, 0.5)), ("-2..1", (-2, -1, 0, 1)), (" 1 , 1.0", (1,)), ("3", (3,))],
)
def test_phis_are_lists_and_spans(text, phis):
    assert scale_command.phis_from(text, DWr()) == phis


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("efficientnet_b0", "efficientnet_b0"),
        ("a/B net.yaml", "b_net"),
        ("run-1#9ab", "run_1_9ab"),
        ("7.json", "part_7"),
    ],
)
def test_members_are_named_so_that_python_can_import_them(text, stem):
    assert stem_of(text) == stem
    assert stem.isidentifier()


def test_a_member_can_be_named_where_a_model_can(b0, nas):
    folder, _ = b0
    for name in ("b#efficientnet_b1", f"{folder}#efficientnet_b1"):
        said = document(nas("profile", name, "--results", folder.parent, "--json")[1])
        assert said["key"] == key(model("efficientnet_b1"))
    code, _, err = nas("profile", "b#b9", "--results", folder.parent)
    assert code == 2
    assert "b#b9: got no member of this family, expected one of efficientnet_b0, efficientnet_b1" in err


def test_a_rule_of_ones_own_is_imported_and_read_back(small, tmp_path, nas, monkeypatch):
    (tmp_path / "ownscalerule.py").write_text(OWN_RULE)
    monkeypatch.syspath_prepend(tmp_path)
    given = ("--rule=only_wider_by by=3", "--import=ownscalerule", "--phi=1", "--results", tmp_path)
    said = document(nas("scale", small, *given, "--name=f", "--json")[1])
    assert said["rule"] == "OnlyWiderBy"
    assert said["members"][0]["requested"] == {"depth": 1.0, "width": 3.0, "resolution": 1.0}
    assert read_family(tmp_path / "f").file.imports == ("ownscalerule",)


def test_a_rule_comes_from_a_file_or_a_run_that_fitted_one(small, tmp_path, nas):
    (tmp_path / "fit-1").mkdir()
    rule = {"type": "Compound", "alpha": 1.3, "beta": 1.05, "gamma": 1.2}
    (tmp_path / "fit-1" / "coefficients.json").write_text(json.dumps({"version": 1, "rule": rule}))
    (tmp_path / "mine.yaml").write_text(json.dumps(rule))
    for name in ("fit-1", tmp_path / "fit-1", tmp_path / "mine.yaml"):
        said = document(nas("scale", small, f"--rule={name}", "--phi=1", "--results", tmp_path, "--json")[1])
        assert said["members"][0]["requested"] == {"depth": 1.3, "width": 1.05, "resolution": 1.2}


def judged(monkeypatch: pytest.MonkeyPatch, reason: str | None) -> None:
    """Let sessions be short, and found against for a reason."""
    measured = scaling.latency.measure_together

    def measure(models: Mapping[str, Network], *, settings: object) -> Session:
        seen = measured(models, settings=replace(settings, seconds=0.002))
        ruled = {"stable": reason is None, "reason": reason}
        return replace(seen, models=tuple(replace(one, **ruled) for one in seen.models))

    monkeypatch.setattr(scaling.latency, "measure_together", measure)


def test_members_are_timed_together_and_unstable_ones_are_marked(small, tmp_path, nas, monkeypatch):
    judged(monkeypatch, None)
    given = ("scale", small, "--phi=0,1", "--latency", "--x=latency_ms", "--results", tmp_path)
    code, out, err = nas(*given, "--json")
    assert (code, err) == (0, "")
    for member in document(out)["members"]:
        low, high = member["latency"]["interval_ms"]
        assert 0 < low <= member["latency"]["median_ms"] <= high
        assert member["latency"]["stable"] is True
    judged(monkeypatch, "it drifts")
    code, out, _ = nas(*given)
    assert code == 1
    assert out.count(" unstable") == 4
    assert "small_phi_1: its latency is unstable and should not be used: it drifts" in out


class Stopwatch(MeasuredLatency):
    """Latencies that follow from the MACs, believed or not."""

    reason: str | None = None

    def known(self, network: Network) -> Normalised:
        ms = cost(network).macs / 1e6
        return Normalised(median_ms=ms, interval_ms=(ms, ms), reason=self.reason, confirmed=True)

    def confirm(self, networks: Sequence[Network]) -> None:
        """Nothing to measure."""


def test_a_latency_target_is_asked_of_who_measures_here(small, tmp_path, nas, monkeypatch):
    monkeypatch.setattr(scaling.latency_budget, "MeasuredLatency", Stopwatch)
    given = ("scale", small, "--target=latency_ms <= 9, params <= 9M", "--threads=2", "--results", tmp_path)
    code, out, err = nas(*given, "--name=f", "--json")
    assert (code, err) == (0, "")
    (member,) = document(out)["members"]
    assert member["binds"] == LATENCY
    assert member["achieved"][LATENCY] == member["macs"] / 1e6 <= 9
    file = read_family(tmp_path / "f").file
    assert file.latency is not None
    assert file.latency.threads == 2
    monkeypatch.setattr(Stopwatch, "reason", "it drifts")
    code, out, _ = nas(*given)
    assert code == 1
    assert re.search(r"got latency_ms 8\.\d+, params .*; latency_ms binds", out)
    assert "latency_ms <= 9, params <= 9M: the latency that met it is unstable: it drifts" in out


def test_a_table_answers_latency_targets_where_it_is_good_enough(monkeypatch):
    class Known:
        quick = True

    monkeypatch.setattr(scale_command, "latencies_of", lambda *_: Known())
    how = Latency(table="t.json")
    assert isinstance(scale_command.providers_of(how)[1], Known)
    Known.quick = False
    assert isinstance(scale_command.providers_of(how)[1], MeasuredLatency)
    assert scale_command.providers_of(None) == (scale_command.ANALYTIC,)


def test_a_prediction_of_blocks_that_a_table_was_not_fitted_on_is_noted(monkeypatch):
    made = family(model("mobilenet_v2"), targets=[parse_target("macs <= 1G")])
    met = replace(
        made, members=tuple(replace(m, metrics={**m.metrics, "latency_ms": 4.0}) for m in made.members)
    )

    class Share:
        def __init__(self, known):
            self.known = known

        def predict(self, _):
            return self

    table = Latencies(Latency(), device="cpu")
    assert list(scale_command.unfitted(met, (table,))) == []
    for known, says in ((0.2, "20 % of the latency predicted is of blocks"), (0.9, None)):
        monkeypatch.setattr(table, "predictor", Share(known))
        notes = list(scale_command.unfitted(met, (table,)))
        assert bool(notes) is (says is not None)
        assert says is None or says in notes[0]
        assert list(scale_command.unfitted(made, (table,))) == []


def test_a_run_or_family_in_the_place_of_a_network_says_how_one_of_it_is_named(small, tmp_path, nas):
    nas("scale", small, "--phi", "0,1", "--name", "mine", "--results", tmp_path)
    last = read_family(tmp_path / "mine").file.members[-1].name
    code, _, err = nas("scale", "mine", "--results", tmp_path)
    assert code == 2
    assert f"a family, expected one network; name one of it, mine#{last}" in err
    code, _, err = nas("resume", "mine", "--results", tmp_path)
    assert code == 2
    assert "mine: a family of which nothing is trained, expected a run" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--target=macs <= 1k"], 3, "the smallest network of this family (phi -"),
        (["--target=macs <= 3M, macs >= 4M"], 3, "no network can keep both"),
        (["--target=params <= 900G", "--rule=resolution"], 3, "no budget is reached"),
        (["--target=mac <= 3M"], 2, "did you mean 'macs'"),
        (["--target=macs"], 2, "target: got 'macs', expected a metric"),
        (["--phi=,"], 2, "--phi: got 0 steps"),
        (["--phi=one"], 2, "--phi: got 'one', expected numbers such as -1,0,0.5 or 0..7"),
        (["--rule=compund"], 2, "did you mean 'compound'"),
        (["--rule=compound alhpa=2"], 2, "did you mean 'alpha'"),
        (["--rule=compound alpha"], 2, "got 'alpha', expected key=value"),
        (["--rule=table", "--phi=9"], 2, "phi: got 9, expected one of the table's rows"),
        (["--rule=missing.yaml"], 2, "missing.yaml: no such file"),
        (["--divisor=0"], 2, "--divisor: got 0, expected greater than or equal to 1"),
        (["--resolution-multiple=0"], 2, "--resolution-multiple: got 0"),
        (["--repeats=up"], 2, "--repeats: got 'up', expected 'ceil', 'round' or 'floor'"),
        (["--unlike=strech"], 2, "--unlike: got 'strech', expected 'stretch' or 'repeat_last'"),
        (["--fix=size"], 2, "--fix: got 'size', expected 'depth', 'width' or 'resolution'"),
        (
            ["--fix=depth", "--fix=width", "--fix=resolution"],
            2,
            "--fix: got depth, width and resolution, expected two of them at most",
        ),
        (["--set=epochs=1"], 2, "--set: got settings but no --train"),
        (
            ["--seeds=5"],
            2,
            "--seeds: got 5 and nothing that is trained, so that it would change nothing; add --train",
        ),
        (["--dropout-growth=0.3"], 2, "--dropout-growth: got 0.3 and nothing that is trained"),
        (
            ["--threads=4"],
            2,
            "--threads: got 4 and no latency, so that it would change nothing; add --latency, or a",
        ),
        (["--device=cuda", "--target=macs <= 3M"], 2, "--device: got 'cuda' and no latency"),
        (["--batch=8"], 2, "--batch: got 8 and no latency"),
        (["--latency", "--table=mine.json"], 2, "--table: got 'mine.json' and no target on latency_ms"),
        (["--target=latncy_ms <= 3"], 2, "did you mean 'latency_ms'"),
        (["--name=../x"], 2, "name: got '../x'"),
        (["--name=taken"], 2, "name: taken is taken"),
        (["--overlay=resent"], 2, "did you mean 'resnet'"),
        (["--x=latency_ms"], 2, "add --latency"),
        (["--x=mcas"], 2, "did you mean 'macs'"),
        (["--latency", "--device=tpu"], 2, "device: got 'tpu'"),
    ],
)
def test_what_cannot_be_scaled_is_said_and_leaves_nothing(arguments, code, says, small, tmp_path, nas):
    home = tmp_path / "home"
    (home / "taken").mkdir(parents=True)
    got, out, err = nas("scale", small, *arguments, "--results", home)
    assert (got, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1
    assert [path.name for path in home.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lenet5", "expected 1, for its dense layers fit one size of map; --fix resolution, or"),
        ("mobile", "model: got 'mobile', a search space, expected one network"),
        ("resnet19", "did you mean 'resnet1"),
        ("space.json", "a space of 6 architectures, expected one"),
    ],
)
def test_a_base_that_is_no_network_or_is_rigid_is_refused(name, says, tmp_path, nas, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.json").write_text(
        '{"version": 1, "network": {"input": [1, 8, 8], "stages": [{"blocks": [{"type": "Conv", "kernel": '
        '{"choice": [1, 3, 5]}}], "width": {"choice": [8, 16]}}], "head": {"type": "Classifier", "classes": 3}}}'
    )
    code, out, err = nas("scale", name, "--results", tmp_path)
    assert (code, out) == (2, "")
    assert says in err


def test_a_rigid_base_is_scaled_where_resolution_is_fixed(tmp_path, nas):
    code, out, _ = nas("scale", "lenet5", "--fix=resolution", "--phi=1", "--results", tmp_path, "--json")
    assert code == 0
    assert document(out)["members"][0]["input"] == [1, 28, 28]


def test_a_family_that_fails_half_way_leaves_nothing(small, tmp_path, nas, monkeypatch):
    def broken(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(scale_command, "draw", broken)
    assert nas("scale", small, "--results", tmp_path / "home")[0] == 130
    assert list((tmp_path / "home").iterdir()) == []


DAMAGE = {
    "torn": (lambda text: text[: len(text) // 2], "the file is damaged"),
    "no family": (lambda _: "{}", "got no family"),
    "twice a key": (lambda text: text.replace('"version": 1', '"version": 1, "version": 1'), "comes twice"),
    "unknown field": (lambda text: text.replace('"growth"', '"grwoth"'), "family.grwoth: unknown field"),
    "another base": (lambda text: re.sub(r'"base_key": "\w+"', '"base_key": "0"', text), "expected 0"),
    "another key": (
        lambda text: re.sub(r'(?<=      "key": )"\w+"', '"0123456789abcdef"', text),
        "got a network with key",
    ),
    "a way out": (lambda text: text.replace('"small_phi_1.json"', '"../x.json"'), "name: got '../x.json'"),
    "NaN": (lambda text: re.sub(r'"growth": [\d.]+', '"growth": NaN', text), "NaN is not a number"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_family_is_refused_in_one_message(damage, small, tmp_path, nas):
    nas("scale", small, "--phi=1", "--name=f", "--results", tmp_path)
    path = tmp_path / "f" / FAMILY
    change, says = DAMAGE[damage]
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    code, out, err = nas("compare", "f", "--results", tmp_path)
    assert (code, out) == (4, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_changed_or_missing_spec_of_a_member_is_refused(small, tmp_path, nas):
    nas("scale", small, "--phi=1", "--name=f", "--results", tmp_path)
    spec = tmp_path / "f" / "small_phi_1.json"
    spec.write_text(to_json(model("lenet5")))
    code, _, err = nas("compare", "f", "--results", tmp_path)
    assert code == 4
    assert "small_phi_1.json: got a network with key" in err
    spec.unlink()
    code, _, err = nas("compare", "f", "--results", tmp_path)
    assert code == 4
    assert "no such file" in err


def test_a_family_of_a_later_release_is_refused(small, tmp_path, nas):
    nas("scale", small, "--phi=1", "--name=f", "--results", tmp_path)
    path = tmp_path / "f" / FAMILY
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    code, _, err = nas("compare", "f", "--results", tmp_path)
    assert code == 2
    assert "got version 2 of a family, expected 1" in err


def test_the_documented_json_has_the_keys_of_members_that_are_printed(tmp_path, nas):
    section = DOCS.read_text().partition("### `nas scale --json`")[2]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found is not None
    (example,) = json.loads(found[1])["members"]
    said = document(
        nas("scale", "efficientnet_b0", "--target=macs<=300M", "--results", tmp_path, "--json")[1]
    )
    (member,) = said["members"]
    assert set(example) == set(member)
    assert {
        name: example[name] for name in ("key", "params", "macs", "activations", "peak_bytes", "binds")
    } == {name: member[name] for name in ("key", "params", "macs", "activations", "peak_bytes", "binds")}
    assert set(example["requests"][0]) == set(member["requests"][0])
    assert example["requests"][0]["next_step"]["key"] == member["requests"][0]["next_step"]["key"]


def test_a_scaling_from_the_command_line_is_the_one_in_python():
    said = scale_command.scaling_of(DWr(), rounding={"divisor": 8}, fix=["depth"])
    assert said == Scaling(rule=DWr(), fix=("depth",))
