"""From a search to a family, end to end, on real images: which way of growing is ahead, and where.

A small space is searched under a MAC budget; compound coefficients are fitted to the winner; the winner is grown to
2, 4 and 8 times its MACs by the fitted rule, by depth, width and resolution alone, and by the paper's coefficients;
each network is trained with several seeds on train and validation and reads the test part once a training. No choice
is made by the test part. Each family is written as `nas scale --train` would, and `nas compare` draws them. What was
finished is kept: the same command goes on after it was stopped.

    python benchmarks/family_end_to_end.py --data FOLDER [--quick]      Fashion-MNIST (the four IDX files)
    python benchmarks/family_end_to_end.py                              the embedded digits, which saturate
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import statistics
from collections.abc import Collection, Mapping, Sequence
from math import log, sqrt
from pathlib import Path

from machine import machine

from nas.analysis.lines import plot_lines
from nas.analysis.series import Series
from nas.analysis.spread import spread
from nas.cli.compare import compare
from nas.cli.scale_train import with_scores
from nas.config import StudyConfig, read_config
from nas.data import DataSpec
from nas.driver import StopSign, drive
from nas.family_file import Asking, family_file
from nas.family_folder import write_members
from nas.fit import Fit, Fitted, begin, described, fit_in, fit_of, judged
from nas.history import Trial
from nas.journal import JOURNAL
from nas.launch import create, executor_for, reopen
from nas.listed import Readings, readings_of, training_of
from nas.proposal import Kind
from nas.storage import new_folder
from nas.study import Study
from scaling.compound import Scaling
from scaling.constraints import Limit
from scaling.cost import cost
from scaling.family import Family, Member, family
from scaling.fit import Grid
from scaling.rounding import Rounding
from scaling.rules import Compound, DepthOnly, ResolutionOnly, Rule, WidthOnly
from search_spaces import Choice, Classifier, Conv, DepthwiseSeparable, MBConv, Network, Repeat, Stage, key
from search_spaces.serialise import Json, to_data

HERE = Path(__file__).parent
TIMES = (1.0, 2.0, 4.0, 8.0)  # the base's MACs
METRIC = "test_accuracy"
FITTED, PAPER = "compound, fitted", "compound, the paper's"
Seeds = dict[int, float]  # seed -> a score
ROUNDING = Rounding(divisor=4)
GRID = Grid(drift=0.25)  # of nearly equal MACs, for networks this small
CONFIG = """
strategy: {type: evolution, population: 8, contestants: 3}
recipe: {augment: [{type: Flip}, {type: Crop, padding: 2}]}
confirm: {top: 3, seeds: 2}
final: {of: none}
execution: {workers: 1, threads: 1, device: cpu}
"""


def main() -> None:
    given = arguments()
    data = data_of(given)
    config = read_config(
        CONFIG,
        [
            f"space={json.dumps(to_data(space(data)))}",
            f"data={json.dumps(to_data(data))}",
            f'limits=["macs <= {given.budget}"]',
            f"trials={given.trials}",
            f"epochs={given.epochs}",
            f"final.epochs={given.final_epochs}",
        ],
        source="family_end_to_end",
    )
    search = done(config, "search", given.results)
    best = search.best
    assert best is not None, "no trial of the search ended well"
    base = search.candidate(best).network
    fit, fitted = fit_to(base, config, given)
    families = {name: grown(base, rule) for name, rule in rules(fitted).items()}
    trained = train("families", base, families, config, given)
    families[PAPER] = grown(base, Compound())
    trained |= train("paper", base, {PAPER: families[PAPER]}, config, given, known=trained)
    folders = [written(name, one, trained, given.results) for name, one in families.items()]
    compare(list(map(str, folders)), y=METRIC, out=given.results / "compare", results=given.results)
    write(given, search, best, fit, fitted, families, trained)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder with Fashion-MNIST's four IDX files")
    parser.add_argument("--quick", action="store_true", help="a minute or two, to see that it runs")
    parser.add_argument("--limit", type=int, default=4_000, help="train images")
    parser.add_argument("--budget", default="300k", help="MACs of the base")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=4, help="of the search and the fit")
    parser.add_argument("--final-epochs", type=int, default=6, help="of the families")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE.parent / "results" / "family-end-to-end")
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "results" / "benchmarks" / "family_end_to_end.json"
    )
    given = parser.parse_args()
    if given.quick:
        given.limit, given.trials, given.epochs, given.final_epochs, given.seeds = 400, 3, 1, 1, 2
    return given


def data_of(given: argparse.Namespace) -> DataSpec:
    if given.data is None:
        return DataSpec(limit=given.limit)
    return DataSpec(source="fashion_mnist", path=str(given.data), limit=given.limit, validation=0.05)


def space(data: DataSpec) -> Network:
    """Return a space of small networks whose stages are of like layers, so that each can grow every way."""
    digits = data.source == "digits"
    block = Choice(
        DepthwiseSeparable(kernel=Choice(3, 5)),
        MBConv(kernel=Choice(3, 5), expand=Choice(2.0, 3.0), se=Choice(0.0, 0.25), act="relu"),
    )
    widths = ((8, 12, 16), (12, 16, 24), (24, 32, 48))
    return Network(
        input=(1, 8, 8) if digits else (1, 28, 28),
        stem=Stage(blocks=(Conv(),), width=Choice(8, 12), stride=1 if digits else 2),
        stages=tuple(
            Stage(blocks=Repeat(block, Choice(1, 2, 3)), width=Choice(*options), stride=2 if i else 1)
            for i, options in enumerate(widths)
        ),
        head=Classifier(classes=10, dropout=0.1),
    )


def done(config: StudyConfig, name: str, results: Path, purpose: Mapping[str, Json] | None = None) -> Study:
    """Return a finished study, begun or gone on with."""
    if (results / name / JOURNAL).is_file():
        study, _ = reopen(results / name)
        folder = results / name
    else:
        study, folder = create(config, name=name, results=results, purpose=purpose or {})
    run_to_end(study, config, folder)
    return study


def run_to_end(study: Study, config: StudyConfig, folder: Path) -> None:
    def watch(what: str, trial: Trial) -> None:
        if what == "told":
            scores = {n: round(v, 4) for n, v in trial.metrics.items() if n.endswith("_accuracy")}
            print(folder.name, trial.kind.value, trial.number, int(trial.cost["macs"]), scores, flush=True)

    with study.journal:
        drive(study, executor_for(config, folder, study.journal.header), watch=watch, stop=StopSign())


def fit_to(base: Network, config: StudyConfig, given: argparse.Namespace) -> tuple[Fit, Fitted]:
    folder = given.results / "fit"
    if (folder / JOURNAL).is_file():
        study, own = reopen(folder)
    else:
        made, networks = fit_of("the winner", base, grid=GRID, scaling=Scaling(rounding=ROUNDING), sizes=0)
        study, own, folder = begin(
            made, networks, config, seeds=given.seeds, name="fit", results=given.results
        )
    run_to_end(study, own, folder)
    fit = fit_in(study.journal.header)
    found = judged(fit, study.history, study.plan.objectives[0])
    assert found is not None, "no point of the grid ended well"
    return fit, found


def rules(fitted: Fitted) -> dict[str, Rule]:
    return {
        FITTED: fitted.chosen.rule,
        "depth only": DepthOnly(),
        "width only": WidthOnly(),
        "resolution only": ResolutionOnly(),
    }


def grown(base: Network, rule: Rule) -> Family:
    """Return the largest networks of a rule within 1, 2, 4 and 8 times the base's MACs."""
    own = cost(base).macs
    targets = [(Limit(metric="macs", at_most=own * times),) for times in TIMES]
    return family(base, targets=targets, scaling=Scaling(rule=rule, rounding=ROUNDING))


def train(
    name: str,
    base: Network,
    families: Mapping[str, Family],
    config: StudyConfig,
    given: argparse.Namespace,
    *,
    known: Collection[str] = (),
) -> dict[str, Seeds]:
    """Return the test accuracies of each network's trainings, by the network's key in its family.

    Networks whose key is known were trained already.
    """
    every = {key(m.network): m.network for one in families.values() for m in one.members}
    networks = {name: network for name, network in every.items() if name not in known}
    own = training_of(base, list(networks.values()), config, seeds=given.seeds)
    study = done(own, name, given.results)
    rows = readings_of(study)
    assert len(rows) == len(networks), "one row a network, in order"
    return dict(zip(networks, accuracies(study, rows), strict=True))


def written(name: str, made: Family, trained: Mapping[str, Seeds], results: Path) -> Path:
    """Write a trained family into a folder of its own, as `nas scale --train` does."""
    folder = results / re.sub(r"[^a-z]+", "-", name.lower()).strip("-")
    if not folder.exists():
        targets = tuple(request.asked for member in made.members for request in member.requests)
        scores = [{METRIC: spread(list(trained[key(member.network)].values()))} for member in made.members]
        with new_folder(folder) as place:
            write_members(
                place, with_scores(family_file(made, Asking(model="winner", targets=targets)), scores), made
            )
    return folder


def accuracies(study: Study, rows: Sequence[Readings]) -> list[Seeds]:
    """Return each network's accuracies by seed, so that they can be paired between networks."""
    found: list[Seeds] = [{} for _ in rows]
    for trial in study.history.of(Kind.FINAL):
        if trial.done:
            found[trial.code[0]][trial.identity.seed] = trial.metrics[METRIC]
    return found


def write(
    given: argparse.Namespace,
    search: Study,
    best: Trial,
    fit: Fit,
    fitted: Fitted,
    families: Mapping[str, Family],
    trained: Mapping[str, Seeds],
) -> None:
    curves = {name: [point(m, trained) for m in one.members] for name, one in families.items()}
    compared = {name: against(curves[FITTED], curves[name]) for name in curves if name != FITTED}
    result = {
        "command": command(given), "machine": machine(), "load": os.getloadavg(),
        "examples": given.limit, "epochs": {"search and fit": given.epochs, "families": given.final_epochs},
        "seeds": given.seeds,
        "search": {
            "budget_macs": given.budget, "trials": len(search.history.of(Kind.TRAIN)),
            "base": {"key": best.key, "macs": best.cost["macs"], "params": best.cost["params"],
                     "validation_accuracy": best.metrics["validation_accuracy"], "spec": to_data(fit.base)},
        },
        "fit": described(fit, fitted),
        "curves": curves,
        "fitted_less": compared,
        "compare": [
            {name: row[name] for name in ("run", "front_size", "best_test_accuracy", "hypervolume_share")}
            for row in csv.DictReader((given.results / "compare" / "summary.csv").open())
        ],
        "verdict": [verdict(name, rows) for name, rows in compared.items()],
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    picture(given, curves)
    print("\n".join(result["verdict"]))  # type: ignore[arg-type]


def point(member: Member, trained: Mapping[str, Seeds]) -> dict[str, object]:
    own = trained[key(member.network)]
    values = list(own.values())
    rule = member.scaled.asked
    return {
        "name": member.name, "key": key(member.network), "phi": member.scaled.phi,
        "macs": member.metrics["macs"], "params": member.metrics["params"], "input": member.network.input,
        "depth": rule.depth, "width": rule.width, "resolution": rule.resolution,
        METRIC: statistics.fmean(values), f"{METRIC}_sd": statistics.stdev(values), "scores": own,
    }  # fmt: skip


def against(
    compound: Sequence[Mapping[str, object]], other: Sequence[Mapping[str, object]]
) -> list[dict[str, object]]:
    """Return the compound curve's lead at the MACs of each of its networks but the base, paired by seed.

    The other curve is read at equal MACs, linearly in the logarithm of MACs between its networks; beyond its largest
    one, that one counts: a rule that ends earlier has no better.
    """
    rows: list[dict[str, object]] = []
    if [p["key"] for p in compound] == [p["key"] for p in other]:
        return rows  # the fit chose this very rule
    for one in compound[1:]:
        ours, theirs = scores(one), read_at(other, float(one["macs"]))  # type: ignore[arg-type]
        leads = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
        sd = statistics.stdev(leads)
        rows.append(
            {
                "macs": one["macs"],
                "beyond_the_other": float(one["macs"]) > float(other[-1]["macs"]),  # type: ignore[arg-type]
                "lead": statistics.fmean(leads),
                "sd": sd,
                "clear": abs(statistics.fmean(leads)) > 2 * sd / sqrt(len(leads)),
                "seeds": len(leads),
            }
        )
    return rows


def read_at(curve: Sequence[Mapping[str, object]], macs: float) -> Seeds:
    """Return what each seed's curve has at so many MACs."""
    places = [float(p["macs"]) for p in curve]  # type: ignore[arg-type]
    after = next((i for i, place in enumerate(places) if place >= macs), None)
    if after is None:
        return scores(curve[-1])
    if after == 0:
        return scores(curve[0])
    low, high = places[after - 1], places[after]
    share = (log(macs) - log(low)) / (log(high) - log(low))
    before, behind = scores(curve[after - 1]), scores(curve[after])
    return {seed: a + share * (behind[seed] - a) for seed, a in before.items() if seed in behind}


def scores(one: Mapping[str, object]) -> Seeds:
    found = one["scores"]
    assert isinstance(found, dict)
    return found


def verdict(name: str, rows: Sequence[Mapping[str, object]]) -> str:
    """Say plainly who is ahead where, with the spread."""
    if not rows:
        return f"{FITTED} against {name}: the same networks, for the fit chose this very rule"
    said = []
    for row in rows:
        lead, sd = 100 * float(row["lead"]), 100 * float(row["sd"])  # type: ignore[arg-type]
        ahead = FITTED if lead > 0 else name
        how = f"{ahead} ahead by {abs(lead):.2f} ± {sd:.2f} points"
        how += "" if row["clear"] else ", within the noise"
        how += f" ({name} ends below)" if row["beyond_the_other"] else ""
        said.append(f"at {float(row['macs']) / 1e6:.2f}M MACs {how}")  # type: ignore[arg-type]
    return f"{FITTED} against {name}: {'; '.join(said)}"


def picture(given: argparse.Namespace, curves: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    drawn = [
        Series(
            name=name,
            points=tuple({n: float(p[n]) for n in ("macs", METRIC, f"{METRIC}_sd")} for p in points),  # type: ignore[arg-type]
            kind="family",
        )
        for name, points in curves.items()
    ]
    source = "digits" if given.data is None else "Fashion-MNIST"
    plot_lines(
        drawn,
        x="macs",
        y=METRIC,
        path=given.out.with_suffix(".png"),
        title=f"One searched base grown five ways, {source}",
        note=f"{given.limit} train images and the validation part, {given.final_epochs} epochs; mean and standard "
        f"deviation of {given.seeds} seeds",
    )


def command(given: argparse.Namespace) -> str:
    data = "" if given.data is None else " --data FOLDER"
    return (
        f"python benchmarks/family_end_to_end.py{data} --limit {given.limit} --budget {given.budget} "
        f"--trials {given.trials} --epochs {given.epochs} --final-epochs {given.final_epochs} --seeds {given.seeds}"
    )


if __name__ == "__main__":
    main()
