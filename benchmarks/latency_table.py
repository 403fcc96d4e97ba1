"""A latency table for `mobile` at one resolution, judged by 200 networks that were not fitted.

    python -m benchmarks.latency_table

Networks are timed whole, on one thread, in turn with the sentinel; those held out twice, the second time after all
first ones. The table, a line through MACs and a plane through MACs and activations are fitted on the same networks.
What is claimed: the mean error of the table is at most 8 %, or 1.2 times that of measuring again where the device is
noisier than that; and its rank correlation exceeds that of both cheap predictors.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.machine import machine
from scaling.latency_table import Circumstances, Errors, LatencyTable, table_text
from scaling.latency_table_build import Effort, HeldOut, build_table
from search_spaces import key
from search_spaces.presets import preset

MOST_ERROR, OF_AGAIN = 0.08, 1.2
OFF = 0.1  # the band that is drawn


def main() -> None:
    given = arguments()
    space = preset("mobile", tuple(given.shape), classes=given.classes)
    effort = Effort(networks=given.networks, held_out=given.held_out, seconds=given.seconds, seed=given.seed)
    began, load = time.monotonic(), os.getloadavg()
    table, held_out = build_table(
        space,
        name="mobile",
        circumstances=Circumstances(threads=given.threads),
        effort=effort,
        progress=lambda done, of: print(f"\r{done}/{of}", end="", file=sys.stderr, flush=True),
    )
    result = {
        "machine": machine(),
        "device": table.device,
        "load": [round(value, 2) for value in (*load, *os.getloadavg())],
        "minutes": round((time.monotonic() - began) / 60, 1),
        "shape": given.shape,
        "effort": asdict(effort),
        "circumstances": asdict(table.circumstances),
        "sentinel_ms": table.sentinel_ms,
        "entries": len(table.entries),
        "spread": table.spread,
        "claims": claims(table.errors),
        "errors": asdict(table.errors),
        "held_out": [brief(one) for one in held_out],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    draw(table, held_out, given.out.with_suffix(".png"))
    if given.table is not None:
        given.table.write_text(table_text(table))
    print("", json.dumps({"claims": result["claims"], "errors": result["errors"]}, indent=2), sep="\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs="+", default=[3, 64, 64])
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--networks", type=int, default=250, help="to fit")
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.4, help="for each timing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="write the table itself there")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/latency_table.json"))
    return parser.parse_args()


def claims(errors: Errors) -> dict[str, object]:
    """Return what is claimed of a table, and whether it holds here."""
    most = max(MOST_ERROR, OF_AGAIN * errors.again.mape)
    return {
        "mape": round(errors.table.mape, 4),
        "mape_at_most": round(most, 4),
        "mape_holds": errors.table.mape <= most,
        "tau_lead": [round(value, 4) for value in (errors.lead, errors.lead_low, errors.lead_high)],
        "tau_holds": errors.lead_low > 0,
    }


def brief(one: HeldOut) -> dict[str, object]:
    plain = {name: value for name, value in asdict(one).items() if name != "network"}
    return {"key": key(one.network)} | {name: round(value, 4) for name, value in plain.items()}


def draw(table: LatencyTable, held_out: Sequence[HeldOut], path: Path) -> None:
    """Draw predicted against measured: the table, the better cheap predictor and measuring again."""
    errors = table.errors
    parts = (
        ("the table", errors.table, [one.predicted_ms for one in held_out]),
        (
            "MACs and activations",
            errors.macs_activations,
            [one.macs_activations_ms for one in held_out],
        ),
        ("measuring again", errors.again, [one.again_ms for one in held_out]),
    )
    measured = [one.measured_ms for one in held_out]
    every = [*measured, *(value for _, _, values in parts for value in values)]
    ends = (0.95 * min(every), 1.05 * max(every))
    figure = Figure(figsize=(12, 4.8), dpi=130, layout="constrained")
    for axes, (name, score, values) in zip(figure.subplots(1, 3, sharey=True), parts, strict=True):
        panel(axes, measured, values, ends)
        axes.set_title(
            f"{name}: mean error {100 * score.mape:.1f} %\n"
            f"tau {score.tau:.2f} ({score.tau_low:.2f} to {score.tau_high:.2f})",
            fontsize=10,
        )
        axes.set_xlabel("measured (ms)")
        axes.set_ylabel("predicted (ms)" if axes.get_subplotspec().is_first_col() else "")
    figure.suptitle(
        f"mobile on {table.device_name}, one thread: {errors.held_out} networks that were not among the "
        f"{errors.networks} fitted",
        fontsize=11,
    )
    figure.savefig(path)


def panel(axes: Axes, measured: Sequence[float], values: Sequence[float], ends: tuple[float, float]) -> None:
    axes.fill_between(ends, [e * (1 - OFF) for e in ends], [e * (1 + OFF) for e in ends], color="0.92", lw=0)
    axes.plot(ends, ends, color="0.6", lw=0.8)
    axes.plot(measured, values, "o", ms=3.5, mew=0, alpha=0.6, color="#1f6fb4")
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_box_aspect(1)


if __name__ == "__main__":
    main()
