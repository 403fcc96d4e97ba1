"""`nas latency`: what it measures, its JSON, what people read, and its exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import document

import scaling.latency
from scaling.timing import Session

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
SEEN: dict[str, Session] = {}  # sessions by what was asked for: each is measured once
QUICK = ("--seconds", "0.005")
OWN = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
    def forward(self, x):
        return self.conv(x).mean((2, 3))

ready = Tiny()
number = 4
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module of the user's own."""
    (tmp_path / "ownlatencynets.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "ownlatencynets"


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return a function that says what reason against its numbers each session is to find."""
    measured = scaling.latency.measure_together

    def judge(reason: str | None) -> None:
        def measure(models: Mapping[str, object], **settings: object) -> Session:
            asked = repr((list(models), settings))
            seen = SEEN.get(asked) or SEEN.setdefault(asked, measured(models, **settings))
            ruled = {"stable": reason is None, "reason": reason}
            models = [replace(one, ratio=replace(one.ratio, **ruled), **ruled) for one in seen.models]
            ratios = [replace(ratio, **ruled) for ratio in seen.ratios]
            return replace(seen, models=tuple(models), ratios=tuple(ratios))

        monkeypatch.setattr(scaling.latency, "measure_together", measure)

    return judge


def test_one_model_has_the_keys_of_the_contract_at_the_top(nas, judged):
    judged(None)
    code, out, err = nas("latency", "lenet5", *QUICK, "--json")
    said = document(out)
    assert (code, err) == (0, "")
    low, high = said["quartiles_ms"]
    assert 0 < low <= said["median_ms"] <= high
    assert said["stable"] is True
    assert said["device"] == said["fingerprint"]["key"]
    assert said["input"] == [1, 28, 28]
    assert re.fullmatch("[0-9a-f]{16}", said["key"])
    assert said["settings"]["batch"] == said["settings"]["threads"] == 1


def test_several_models_are_compared_with_the_first(nas, judged):
    judged(None)
    code, out, _ = nas("latency", "lenet5", "lenet5", *QUICK, "--json")
    said = document(out)
    assert code == 0
    assert [one["model"] for one in said["models"]] == ["lenet5", "lenet5 (2)"]
    assert said["models"][0]["ratio_to_first"]["median"] == 1.0
    assert said["sentinel"]["model"] == "sentinel"
    code, out, _ = nas("latency", "lenet5", "lenet5", *QUICK)
    assert code == 0
    assert re.search(r"lenet5 \(2\) .* yes", out)
    assert "unstable" not in out.partition("\nsentinel")[0]


def test_an_unstable_number_is_shown_marked_and_leaves_with_its_own_exit_code(nas, judged):
    judged("drift: because I say so")
    code, out, err = nas("latency", "lenet5", *QUICK)
    assert (code, err) == (1, "")
    assert "unstable: drift: because I say so" in out
    assert "not to be relied on" in out
    code, out, _ = nas("latency", "lenet5", "lenet5", *QUICK)
    assert code == 1
    assert "lenet5 (2) is unstable: drift: because I say so" in out
    code, out, _ = nas("latency", "lenet5", *QUICK, "--json")
    assert code == 1
    said = document(out)
    assert (said["stable"], said["reason"]) == (False, "drift: because I say so")


def test_what_the_number_holds_for_is_said(nas, judged):
    judged(None)
    code, out, _ = nas("latency", "lenet5", *QUICK, "--batch", "2", "--dtype", "bfloat16", "--channels-last")
    assert code == 0
    assert "2 examples, bfloat16, channels last, 1 thread of" in out
    assert re.search(r"device .* key \S+", out)


@pytest.mark.parametrize("attribute", ["Tiny", "ready"])
def test_a_module_of_the_users_own_is_measured(nas, own, judged, attribute):
    judged(None)
    code, out, err = nas("latency", f"{own}:{attribute}", "--input", "3,8,8", *QUICK, "--json")
    assert (code, err) == (0, "")
    said = document(out)
    assert (said["key"], said["input"]) == (None, [3, 8, 8])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lenet"], "did you mean 'lenet5'"),
        (["lenet5", "--dtype", "float23"], "did you mean 'float32'"),
        (["lenet5", "--device", "cuda:99"], "expected one that is here"),
        (["lenet5", "--threads", "9999"], "threads: got 9999"),
        (["lenet5", "--batch", "0"], "batch: got 0"),
        (["lenet5", "--batch", "10000000000"], "GiB of feature maps"),
        (["lenet5", "--input", "1,6,6"], "lenet5: stages.1"),
        (["{own}:Tiny"], "--input"),
        (["{own}:Tiny", "--input", "1,8,8"], "conv (Conv2d) cannot take"),
        (["{own}:Tinny", "--input", "3,8,8"], "did you mean 'Tiny'"),
        (["{own}:number", "--input", "3,8,8"], "got a int"),
        (["nosuchmodule:net", "--input", "3,8,8"], "PYTHONPATH"),
    ],
)
def test_bad_input_is_one_message(nas, own, arguments, says):
    code, out, err = nas("latency", *(argument.format(own=own) for argument in arguments), *QUICK)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_the_documented_json_has_the_keys_that_are_printed(nas, judged):
    judged(None)
    section = DOCS.read_text().partition("### `nas latency --json`")[2]
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", section, re.DOTALL)[:2]]
    for names, example in zip((("lenet5",), ("lenet5", "lenet5")), examples, strict=True):
        _, out, _ = nas("latency", *names, *QUICK, "--json")
        said = document(out)
        assert set(example) <= set(said)
        if len(names) == 2:
            assert set(example["models"][0]) <= set(said["models"][0])
