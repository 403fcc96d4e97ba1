"""`nas fit` and `nas scale --train`: what they leave, how they go on, and what they refuse."""

from __future__ import annotations

import csv
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import document

import nas.cli.running as running
from nas.cli.scale_rule import rule_named
from nas.evaluation import SPEC
from nas.execution.in_process import InProcess
from nas.family_folder import read_family
from nas.fit import COEFFICIENTS, fit_in
from nas.journal import header_of, read
from nas.model import load as load_model
from nas.proposal import Kind, Outcome, Proposal, Status
from scaling.compound import scale
from scaling.cost import cost
from scaling.rules import Compound
from search_spaces import Classifier, Conv, DenseClassifier, MBConv, Network, Stage, key
from search_spaces.serialise import load, to_json

BASE = Network(
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(),), width=24),
    stages=(
        Stage(blocks=(MBConv(expand=2.0),) * 4, width=24),
        Stage(blocks=(MBConv(expand=2.0),) * 4, width=48, stride=2),
    ),
    head=Classifier(classes=10, dropout=0.1),
)
FAST = ("epochs=1", "data.limit=60", "execution.workers=0", "--divisor", "2", "--step", "0.2", "--seeds", "2")
Score = Callable[[Proposal], Outcome]


def deeper_is_better(proposal: Proposal) -> Outcome:
    """A made-up outcome: accuracy grows with the layers, and a little noise with the seed."""
    network = proposal.candidate.network
    layers = sum(len(stage.blocks) for stage in network.stages)  # type: ignore[arg-type, union-attr]
    noise = random.Random(f"{key(network)}{proposal.seed}").uniform(0, 1e-4)
    part = "test" if proposal.kind is Kind.FINAL else "validation"
    return Outcome(status=Status.DONE, metrics={f"{part}_accuracy": layers / 100 + noise}, seconds=0.1)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Score], list[Proposal]]:
    """Return a function that lets trainings take no time, and gives the list of what is asked from then on."""

    def use(score: Score) -> list[Proposal]:
        asked: list[Proposal] = []

        def run(proposal: Proposal, _: object) -> Outcome:
            asked.append(proposal)
            return score(proposal)

        monkeypatch.setattr(running, "executor_for", lambda *_: InProcess(run))
        return asked

    return use


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.json").write_text(to_json(BASE))
    return tmp_path / "small.json"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_way_of_growing_that_scores_best_is_fitted_and_nas_scale_reads_it(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    code, out, err = nas("fit", small, *FAST, "--name", "fitted", "--results", tmp_path, "--json")
    assert code == 0, err
    said, folder = document(out), tmp_path / "fitted"
    assert said["rule"]["alpha"] == 2.0
    assert said["clear"] is True
    assert said["within_noise"] == []
    assert said["noise"] < said["lead"]
    rule = rule_named("fitted", (), tmp_path)
    assert rule == Compound(alpha=2.0, beta=said["rule"]["beta"], gamma=said["rule"]["gamma"])
    assert json.loads((folder / COEFFICIENTS).read_text())["rule"] == said["rule"]
    grid = rows_of(folder / "grid.csv")
    assert len(grid) == len(said["grid"]) > 2
    assert [row["alpha"] for row in grid if row["chosen"] == "1"] == ["2.0"]
    assert {row["seeds"] for row in grid} == {"2"}
    assert all(Path(path).is_file() for path in said["files"])
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = nas(
        "scale", small, "--rule", "fitted", "--phi", "0,1", "--name", "family", "--results", tmp_path
    )
    assert code == 0, err
    assert read_family(tmp_path / "family").file.scaling.rule == rule


def test_the_curves_have_each_rule_from_the_same_base_and_train_nothing_of_the_grid_again(
    nas, scored, small, tmp_path
):
    asked = scored(deeper_is_better)
    _, out, _ = nas("fit", small, *FAST, "--name", "fitted", "--results", tmp_path, "--json")
    curves = document(out)["curves"]
    assert set(curves) == {"compound", "depth only", "width only", "resolution only"}
    assert len({points[0]["macs"] for points in curves.values()}) == 1
    assert all(points[0]["phi"] == 0 and points[-1]["phi"] == 2 for points in curves.values())
    assert all(point["seeds"] == 2 for points in curves.values() for point in points)
    assert len({p.identity for p in asked}) == len(asked)
    assert not [p for p in asked if p.kind is Kind.FINAL]  # the test part is not read
    drawn = rows_of(tmp_path / "fitted" / "curves.csv")
    assert {row["rule"] for row in drawn} == set(curves)


def test_a_fit_cut_short_anywhere_goes_on_and_comes_to_the_same(nas, scored, small, tmp_path):
    whole = scored(deeper_is_better)
    _, out, _ = nas("fit", small, *FAST, "--name", "whole", "--results", tmp_path, "--json")
    expected = document(out)
    for n in (0, 3, len(whole) // 2, len(whole) - 2):
        done: list[Proposal] = []

        def cut(proposal, done=done, n=n):
            if len(done) == n:
                signal.raise_signal(signal.SIGINT)
            done.append(proposal)
            return deeper_is_better(proposal)

        scored(cut)
        name = f"cut{n}"
        code, _, err = nas("fit", small, *FAST, "--name", name, "--results", tmp_path)
        assert code == 130
        assert f"nas resume {name} --results" in err
        left = scored(deeper_is_better)
        code, out, err = nas("resume", name, "--results", tmp_path, "--json")
        assert code == 0, err
        said = document(out)
        told = {p.identity for p in done[:-1]}
        assert not told & {p.identity for p in left}
        for part in ("rule", "chosen", "grid", "curves"):
            assert said[part] == expected[part], part


def test_a_fork_of_a_fit_is_a_fit_and_trains_only_what_is_new(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    nas("fit", small, *FAST, "--name", "first", "--sizes", "0", "--results", tmp_path)
    asked = scored(deeper_is_better)
    more = ("confirm.seeds=2", "--fork", "second")
    code, out, err = nas("resume", "first", *more, "--results", tmp_path, "--json")
    assert code == 0, err
    assert {row["seeds"] for row in document(out)["grid"]} == {3}
    assert len(asked) == len(document(out)["grid"])
    assert (tmp_path / "second" / COEFFICIENTS).is_file()


def test_a_tie_within_the_noise_is_said(nas, scored, small, tmp_path):
    def noise(proposal):
        value = random.Random(f"{proposal.key}{proposal.seed}").uniform(0.4, 0.6)
        return Outcome(status=Status.DONE, metrics={"validation_accuracy": value}, seconds=0.1)

    scored(noise)
    _, out, _ = nas("fit", small, *FAST, "--name", "tie", "--sizes", "0", "--results", tmp_path)
    assert "within the noise of" in out
    assert "not told apart" in out
    assert not (tmp_path / "tie" / "curve").exists()
    _, out, _ = nas("resume", "tie", "--results", tmp_path, "--json")
    assert document(out)["clear"] is False
    assert document(out)["within_noise"]


def test_one_seed_is_allowed_and_says_that_nothing_is_known_of_the_noise(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    fast = [*FAST[:-1], "1", "--sizes", "0"]
    _, out, _ = nas("fit", small, *fast, "--name", "one", "--results", tmp_path)
    assert "train with more seeds" in out


def test_a_fit_in_which_everything_fails_ends_with_1(nas, scored, small, tmp_path):
    scored(lambda _: Outcome(status=Status.DIVERGED, note="nan"))
    code, _, err = nas("fit", small, *FAST, "--name", "bad", "--results", tmp_path)
    assert code == 1
    assert "no training of bad ended well" in err
    assert not (tmp_path / "bad" / COEFFICIENTS).exists()


def test_status_knows_a_fit_as_a_run_on_a_list(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    nas("fit", small, *FAST, "--name", "fitted", "--sizes", "0", "--results", tmp_path)
    code, out, _ = nas("status", "fitted", "--results", tmp_path)
    assert code == 0
    assert "a list of" in out
    code, out, _ = nas("status", "fitted", "--results", tmp_path, "--json")
    said = document(out)
    assert said["state"] == "finished"
    assert said["trials"]["done"] == said["trials"]["planned"] > 2
    code, _, err = nas("space", "fitted", "--results", tmp_path)
    assert code == 2
    assert "a list of networks, expected a space" in err


def test_a_growth_of_the_users_own_metric_is_kept_with_the_run(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    grow = ("--doubles", "params", "--growth", "1.5", "--tolerance", "0.2", "--sizes", "0")
    code, _, err = nas("fit", small, *FAST, *grow, "--name", "params", "--results", tmp_path)
    assert code == 0, err
    fit = fit_in(header_of(read(tmp_path / "params")))
    assert fit.doubles == "params"
    assert any("far from 2" in note for note in fit.notes)
    for point in fit.points:
        assert abs(point.growth / 1.5 - 1) <= 0.2
        from scaling.compound import Scaling

        network = scale(BASE, 1, scaling=Scaling(rule=point.rules[0], rounding=fit.scaling.rounding)).network
        assert point.growth == pytest.approx(cost(network).params / cost(BASE).params)


class Slow:
    """A device whose latency is the number of layers, for every size."""

    metrics = ("latency_ms",)
    quick = False

    def of(self, network: Network) -> dict[str, float]:
        return {"latency_ms": float(sum(len(s.blocks) for s in network.stages))}  # type: ignore[arg-type, union-attr]

    def reach(self, space: object, metric: str) -> None:
        return None


def test_a_fit_to_measured_latency_measures_once_and_goes_on_without(
    nas, scored, small, tmp_path, monkeypatch
):
    import nas.cli.fit as command

    def cut(proposal):
        signal.raise_signal(signal.SIGINT)
        return deeper_is_better(proposal)

    scored(cut)
    monkeypatch.setattr(command, "latencies_of", lambda *_: Slow())
    doubled = ("--doubles", "latency_ms", "--sizes", "0")
    code, _, _ = nas("fit", small, *FAST, *doubled, "--name", "slow", "--results", tmp_path)
    assert code == 130
    monkeypatch.setattr(command, "latencies_of", lambda *_: pytest.fail("it was measured again"))
    scored(deeper_is_better)
    code, out, err = nas("resume", "slow", "--results", tmp_path, "--json")
    assert code == 0, err
    grid = document(out)["grid"]
    assert {row["growth"] for row in grid} == {2.0}
    assert all(row["alpha"] in (1.8, 2.0) for row in grid)  # 4 layers a stage become 8


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--step", "1", "--growth", "3", "--tolerance", "0.01"], "got no coefficients in steps of 1"),
        (["--doubles", "latency"], "--doubles: got 'latency', expected one of"),
        (["--growth", "0.5"], "growth"),
        (["--fix", "depth", "--fix", "width", "--fix", "resolution"], "expected two of them at most"),
        (["data.source=fashion_mnist"], "path"),
        (["recipe.lr={choice: [0.1, 0.2]}"], "a choice"),
        (["one.yaml", "two.yaml"], "'one.yaml' and 'two.yaml'"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_written(nas, small, tmp_path, arguments, says):
    code, out, err = nas("fit", small, "--results", tmp_path / "results", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_base_whose_resolution_cannot_change_is_fitted_without_gamma(nas, scored, tmp_path):
    rigid = Network(input=BASE.input, stem=BASE.stem, stages=BASE.stages, head=DenseClassifier(classes=10))
    (tmp_path / "rigid.json").write_text(to_json(rigid))
    scored(deeper_is_better)
    code, out, _ = nas(
        "fit", tmp_path / "rigid.json", *FAST, "--name", "rigid", "--results", tmp_path, "--json"
    )
    assert code == 0
    said = document(out)
    assert {row["gamma"] for row in said["grid"]} == {1.0}
    assert any("gamma is fixed at 1" in note for note in said["notes"])
    assert "resolution only" not in said["curves"]


def test_a_fit_is_really_trained_at_each_points_own_resolution(nas, small, tmp_path):
    fast = [*FAST, "--sizes", "0", "--fix", "depth", "--fix", "width", "--most", "1.5", "--tolerance", "0.1"]
    code, out, err = nas("fit", small, *fast, "--name", "real", "--results", tmp_path, "--json")
    assert code == 0, err
    assert {row["seeds"] for row in document(out)["grid"]} == {2}


def test_a_family_is_trained_in_its_own_folder_and_its_file_has_the_scores(nas, scored, small, tmp_path):
    asked = scored(deeper_is_better)
    train = ("--train", "digits", "--set", "execution.workers=0", "--set", "data.limit=60", "--seeds", "2")
    code, out, err = nas(
        "scale", small, "--phi", "0,1,2", *train, "--name", "family", "--results", tmp_path, "--json"
    )
    assert code == 0, err
    assert {p.kind for p in asked} == {Kind.FINAL}
    assert len(asked) == 6
    said = document(out)
    assert said["ending"] == "finished"
    assert [m["trained"]["test_accuracy"]["seeds"] for m in said["members"]] == [2, 2, 2]
    record = read_family(tmp_path / "family")
    means = [m.trained.test_accuracy.mean for m in record.file.members]
    assert means == sorted(means)
    rates = [p.candidate.network.head.dropout for p in asked[:3]]
    assert rates == sorted(rates)
    assert rates[0] == 0.1 < rates[1] < rates[2]  # dropout grows with size
    code, out, _ = nas("status", "family", "--results", tmp_path, "--json")
    assert document(out)["trials"]["done"] == 6


def test_the_training_of_a_family_that_was_stopped_goes_on(nas, scored, small, tmp_path):
    def cut(proposal):
        if proposal.number == 2:
            signal.raise_signal(signal.SIGINT)
        return deeper_is_better(proposal)

    scored(cut)
    train = ("--train", "digits", "--set", "execution.workers=0", "--seeds", "2", "--dropout-growth", "0")
    code, _, err = nas("scale", small, "--phi", "0,1", *train, "--name", "family", "--results", tmp_path)
    assert code == 130
    assert "nas resume family" in err
    asked = scored(deeper_is_better)
    code, _, err = nas("resume", "family", "--results", tmp_path)
    assert code == 0, err
    assert [p.number for p in asked] == [2, 3]
    assert {p.candidate.network.head.dropout for p in asked} == {0.1}  # left as it is
    assert all(m.trained for m in read_family(tmp_path / "family").file.members)


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ((), 30),
        (("epochs=5",), 5),
        (("epochs=1", "final.epochs=4"), 4),
        (("final={epochs: 2}", "epochs=1"), 2),
    ],
)
def test_epochs_that_are_set_are_those_of_the_trainings_and_are_said(
    nas, scored, small, tmp_path, settings, epochs
):
    asked = scored(deeper_is_better)
    chosen = [part for text in ("execution.workers=0", *settings) for part in ("--set", text)]
    train = ("--train", "digits", *chosen, "--seeds", "1", "--name", "family")
    code, out, err = nas("scale", small, "--phi", "0,1", *train, "--results", tmp_path)
    assert code == 0, err
    assert {p.epochs for p in asked} == {epochs}
    assert f"family: 2 trainings of {epochs} epochs," in out


def test_the_status_of_a_fit_is_what_it_chose_by_means_over_all_seeds(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    code, out, err = nas(
        "fit", small, *FAST, "--name", "fit", "--sizes", "1", "--results", tmp_path, "--json"
    )
    assert code == 0, err
    rule, run = document(out)["rule"], tmp_path / "fit"
    _, out, _ = nas("status", "fit", "--results", tmp_path)
    assert f"chosen        alpha {rule['alpha']:g}, beta {rule['beta']:g}, gamma {rule['gamma']:g}" in out
    assert f"fit of {small}, a list of" in " ".join(out.split())
    assert "curves        finished" in out
    assert "best  " not in out
    (run / "curve").rename(tmp_path / "away")
    _, out, _ = nas("status", "fit", "--results", tmp_path)
    assert "curves        not begun; nas resume fit" in out


def test_a_family_whose_data_does_not_fit_is_refused_before_anything_is_written(nas, tmp_path):
    code, _, err = nas(
        "scale", "efficientnet_b0", "--phi", "0", "--train", "digits", "--results", tmp_path / "results"
    )
    assert code == 2
    assert "space[0].input: got (3, 224, 224), expected (1, 8, 8)" in err
    assert not (tmp_path / "results").exists()


def test_the_weights_of_a_member_belong_to_its_network(nas, small, tmp_path):
    train = (
        "--train", "digits", "--set", "execution.workers=0", "--set", "data.limit=60", "--set", "final.epochs=1",
        "--seeds", "1",
    )  # fmt: skip
    code, _, err = nas("scale", small, "--phi", "0,0.5", *train, "--name", "family", "--results", tmp_path)
    assert code == 0, err
    specs = list((tmp_path / "family" / "trained").glob(f"*/*/{SPEC}"))
    assert len(specs) == 2
    members = {cost(network).params for network in read_family(tmp_path / "family").networks}
    assert {cost(load(path)).params for path in specs} == members
    assert {load_model(path.parent).inputs.task for path in specs} == {"classification"}


def documented(heading: str) -> dict[str, object]:
    """Return the example of a section of the documentation."""
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = text.split(f"### {heading}", 1)[1]
    found = json.loads(section.split("```json", 1)[1].split("```", 1)[0])
    assert isinstance(found, dict)
    return found


def keys_of(said: object) -> object:
    """Return a document with each value replaced by its keys; of lists, the first item's."""
    if isinstance(said, dict):
        return {name: keys_of(value) for name, value in said.items()}
    return [keys_of(said[0])] if isinstance(said, list) and said and isinstance(said[0], dict) else None


def test_the_documented_json_of_nas_fit_is_what_it_gives(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    _, out, _ = nas("fit", small, *FAST, "--name", "fitted", "--results", tmp_path, "--json")
    said, example = document(out), documented("`nas fit --json`")
    said["curves"] = {"compound": said["curves"]["compound"]}
    assert keys_of(said) == keys_of(example)


def test_the_documented_json_of_a_list_is_what_it_gives(nas, scored, small, tmp_path):
    scored(deeper_is_better)
    network = json.loads(small.read_text())["network"]
    config = {"space": [{"network": network}], "epochs": 1, "final": {"of": "every", "seeds": 2}}
    (tmp_path / "list.yaml").write_text(json.dumps(config))
    code, out, err = nas("search", tmp_path / "list.yaml", "--name", "list", "--results", tmp_path, "--json")
    assert code == 0, err
    assert keys_of(document(out)) == keys_of(documented("A list that is trained"))
    code, out, _ = nas("resume", "list", "--results", tmp_path)
    assert code == 0
    assert "each training read the test part once" in out
