"""A study's config: overrides, what differs on resume, and how what cannot be used is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.config import StudyConfig, changed, differences, load_config, read_config
from nas.strategies import Evolution, Random
from search_spaces.errors import BadInput


def config(*overrides: str, text: str = "space: mixed") -> StudyConfig:
    return read_config(text, overrides, source="mine.yaml")


def test_an_override_sets_what_the_file_does_not_name() -> None:
    made = config("trials=7", "strategy.population=9", "confirm.top=1", 'limits=["macs <= 1M"]')
    assert (made.trials, made.confirm.top, made.limits) == (7, 1, ("macs <= 1M",))
    assert made.strategy == Evolution(population=9)


def test_a_strategy_or_source_given_as_a_word_takes_settings_too() -> None:
    made = config(
        "strategy.by=decision", "data.split_seed=3", text="{space: mixed, strategy: random, data: digits}"
    )
    assert made.strategy == Random(by="decision")
    assert (made.data.source, made.data.split_seed) == ("digits", 3)


def test_an_override_without_a_value_is_nothing() -> None:
    assert config("minutes=", text="{space: mixed, minutes: 5}").minutes is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("spce=mixed", r"^mine\.yaml: spce: unknown field; .* did you mean 'space'\?"),
        ("strategy.poplation=3", r"strategy\.poplation: unknown field; .* did you mean 'population'\?"),
        ("strategy=evoluton", r"strategy: got 'evoluton', expected one of .*did you mean evolution\?"),
        ("data=digit", r"got 'digit', expected one of .*did you mean 'digits'\?"),
        ("trials=0", r"trials: got 0, expected greater than or equal to 1"),
        ("execution.workers=-1", r"execution\.workers: got -1, expected greater than or equal to 0"),
        ("execution.device=tpu", r"execution: device: got 'tpu', expected auto, cpu, cuda or cuda:0 and so on"),
        ("trials.most=3", r"trials\.most=3: trials holds 3, expected a mapping"),
        ("trials", r"trials: expected key=value, such as trials=100"),
        ("imports=[no_such_module]", "no_such_module cannot be imported .* in this folder, or on PYTHONPATH"),
        ("imports=os", r"imports: got 'os', expected a list of module names"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place_and_the_nearest_name(
    override: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        config(override, text="{space: mixed, trials: 3}")


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("space: mixed\ntrials: 3\ntrials: 4\n")
    with pytest.raises(BadInput, match=r"twice\.yaml, line 3: the key 'trials' stands twice"):
        load_config(path)


def test_differences_name_both_values_also_where_one_is_the_default() -> None:
    ours = config()
    found = differences(ours, changed(ours, ["seed=4", "epochs=3"]))
    assert sorted(found) == ["epochs: 20 in the run, 3 asked", "seed: 0 in the run, 4 asked"]
    assert differences(ours, ours) == []
