"""The picture of what options weighed over a search by gradients."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.analysis.shares import Epoch, Shares, plot_shares, shares_figure
from search_spaces.errors import BadInput

NAMES = ("Skip", "ActConv kernel 3")


def history(epochs: int, slots: int = 3) -> Shares:
    return Shares(
        slots={f"shared[0].block.nodes[{i}][0]": NAMES for i in range(slots)},
        epochs=[
            Epoch(
                number=n,
                metrics={"entropy": 0.9, "skip_share": n / 10},
                weights={f"shared[0].block.nodes[{i}][0]": (n / 10, 1 - n / 10) for i in range(slots)},
            )
            for n in range(1, epochs + 1)
        ],
    )


def test_every_slot_has_a_panel_and_every_option_a_line_of_its_weights() -> None:
    figure = shares_figure(history(4), title="a run")
    lines = {
        line.get_gid(): list(line.get_ydata())
        for axes in figure.axes
        for line in axes.lines
        if line.get_gid()
    }
    assert lines["shared[0].block.nodes[2][0]:0"] == [0.1, 0.2, 0.3, 0.4]
    assert lines["skip_share"] == [0.1, 0.2, 0.3, 0.4]
    assert len(figure.axes) == 1 + 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(NAMES)


def test_the_file_is_the_same_each_time(tmp_path: Path) -> None:
    files = [plot_shares(history(3), tmp_path / f"{name}.png", title="a run") for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_search_without_epochs_is_refused() -> None:
    with pytest.raises(BadInput, match="without epochs"):
        shares_figure(history(0), title="a run")
