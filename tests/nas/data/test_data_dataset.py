"""What a dataset is, and what it refuses to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.arrays import assemble, channels_first
from nas.data.dataset import Array, Dataset, fingerprint
from search_spaces.errors import BadInput

X = np.arange(24, dtype=np.float32).reshape(6, 1, 2, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


def made(x: Array = X, y: Array = Y, **given: object) -> Dataset:
    return Dataset(name="toy", x=x, y=y, **given)  # type: ignore[arg-type]


def test_arrays_come_to_their_types() -> None:
    assert made(X.astype(np.float64)).x.dtype == np.float32
    assert made(X.astype(np.uint8)).x.dtype == np.uint8
    assert made(y=Y.astype(np.uint8)).y.dtype == np.int64
    assert made(y=Y[:, None].astype(np.uint8)).y.shape == (6,)
    assert made(y=Y.astype(np.float64)).y.shape == (6, 1)
    assert made().classes == ("0", "1", "2")
    assert (made().task, made(y=Y.astype(np.float64)).task) == ("classification", "regression")


def test_the_arrays_held_are_read_only_and_the_callers_stay_writable() -> None:
    x = X.copy()
    dataset = made(x)
    with pytest.raises(ValueError, match="read-only"):
        dataset.x[0] = 1
    x[0] = 1


def broken(at: int, value: float) -> Array:
    x = X.copy()
    x[at, 0, 0, 0] = value
    return x


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": X[:0], "y": Y[:0]}, r"toy: x: got the shape \(0, 1, 2, 2\), .* at least one example"),
        ({"x": X[:, 0, 0]}, r"toy: x: got the shape \(6, 2\), expected \(N, C, \*spatial\)"),
        ({"x": X.astype(str)}, r"toy: x: got the type <U32, expected numbers"),
        ({"x": X[:5]}, r"toy: got 5 examples and 6 labels"),
        ({"x": broken(4, np.nan)}, r"toy: x: got NaN, .* in 1 of 6 examples, the first at index 4"),
        ({"x": broken(2, np.inf)}, r"the first at index 2"),
        ({"x": np.full((6, 1, 2), 1e300)}, r"beyond float32 in 6 of 6"),
        ({"y": np.zeros(6, dtype=int)}, r"toy: got one class only \(0\)"),
        ({"y": Y + 1}, r"got labels from 1 to 3, 3 different ones, expected each of 0 to 2"),
        ({"y": Y - 1}, r"got labels from -1 to 1"),
        ({"y": Y, "classes": ("a", "b")}, r"toy: y: got labels from 0 to 2, expected 0 to 1 for 2 classes"),
        ({"y": Y.astype(float) / 0.7, "classes": ("a",)}, r"got classes with float labels"),
        ({"y": Y.astype(object)}, r"toy: y: got object of shape \(6,\)"),
        ({"groups": np.zeros(5, dtype=int)}, r"toy: groups: got int64 of shape \(5,\)"),
        ({"groups": np.zeros(6)}, r"toy: groups: got float64"),
        ({"test_x": X}, r"got one of test_x and test_y"),
        ({"test_x": X, "test_y": Y[:3]}, r"toy: test part: got 6 examples and 3 labels"),
        ({"test_x": X[:, :, :1], "test_y": Y}, r"test_x: got float32 examples of shape \(1, 1, 2\)"),
        ({"test_x": X.astype(np.uint8), "test_y": Y}, r"test_x: got uint8 examples"),
        ({"test_x": X, "test_y": Y + 1}, r"toy: test_y: got labels from 1 to 3, expected 0 to 2"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(given: dict[str, Array], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        made(**given)


def test_named_classes_need_not_all_occur() -> None:
    assert made(classes=("a", "b", "c", "never")).classes == ("a", "b", "c", "never")


@pytest.mark.parametrize(
    ("shape", "kind", "layout", "expected"),
    [
        ((5, 40), "f4", "auto", (5, 1, 40)),
        ((5, 28, 28), "u1", "auto", (5, 1, 28, 28)),
        ((5, 32, 32, 3), "u1", "auto", (5, 3, 32, 32)),
        ((5, 28, 28, 1), "u1", "auto", (5, 1, 28, 28)),
        ((5, 3, 32, 32), "u1", "auto", (5, 3, 32, 32)),
        ((5, 32, 32, 3), "f4", "auto", (5, 32, 32, 3)),
        ((5, 32, 32, 4), "u1", "auto", (5, 32, 32, 4)),
        ((5, 2, 8, 8, 8), "f4", "auto", (5, 2, 8, 8, 8)),
        ((5, 6, 128), "f4", "channels_first", (5, 6, 128)),
        ((5, 128, 6), "f4", "channels_last", (5, 6, 128)),
        ((5, 40), "f4", "channels_first", (5, 1, 40)),
        ((5, 1, 40), "f4", "auto", (5, 1, 40)),
        ((5, 40, 1), "f4", "auto", (5, 1, 40)),
        ((5, 1, 1), "f4", "auto", (5, 1, 1)),
        ((5, 20, 79), "f4", "auto", (5, 1, 20, 79)),
        ((5, 4, 100), "u1", "auto", (5, 1, 4, 100)),
        ((5, 6, 128), "f4", "one_channel", (5, 1, 6, 128)),
        ((5, 8, 9, 10), "f4", "one_channel", (5, 1, 8, 9, 10)),
    ],
)
def test_channels_come_first(
    shape: tuple[int, ...], kind: str, layout: str, expected: tuple[int, ...]
) -> None:
    assert channels_first(np.zeros(shape, dtype=kind), layout).shape == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(5, 6, 128), (5, 128, 6), (5, 2, 8), (5, 80, 20)])
def test_signals_that_could_be_grey_images_are_asked_about(shape: tuple[int, ...]) -> None:
    arrays = {"x": np.zeros((6, 28, 28)), "y": Y, "x_test": np.zeros(shape), "y_test": Y[: shape[0]]}
    with pytest.raises(
        BadInput, match=r"toy: x_test: got the shape .*; say which: data.layout=channels_first for"
    ):
        assemble("toy", arrays)


def test_channels_last_pixels_keep_their_places() -> None:
    x = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    moved = channels_first(x)
    assert moved[1, 2, 3, 4] == x[1, 3, 4, 2]


def test_string_labels_are_numbered_in_sorted_order() -> None:
    dataset = assemble("toy", {"x": X, "y": np.array(["cat", "ant", "bee"] * 2)})
    assert dataset.classes == ("ant", "bee", "cat")
    assert dataset.y.tolist() == [2, 0, 1, 2, 0, 1]


def test_a_string_label_unseen_in_training_is_refused() -> None:
    arrays = {"x": X, "y": np.array(["cat", "ant"] * 3), "x_test": X, "y_test": np.array(["dog"] * 6)}
    with pytest.raises(BadInput, match="got the label 'dog', expected one of ant, cat"):
        assemble("toy", arrays)


@given(st.integers(0, 23), st.sampled_from(["x", "test_x"]))
def test_any_changed_value_changes_the_fingerprint(at: int, where: str) -> None:
    arrays = {"x": X.copy(), "test_x": X.copy(), "test_y": Y}
    before = fingerprint(made(**arrays))
    arrays[where].reshape(-1)[at] += 0.5
    assert fingerprint(made(**arrays)) != before
    assert len(before) == 16


def test_the_fingerprint_sees_labels_groups_shapes_and_classes_but_not_the_name() -> None:
    same = Dataset(name="other", x=X, y=Y)
    assert fingerprint(same) == fingerprint(made())
    others = (
        made(y=Y[::-1]),
        made(groups=Y),
        made(X.reshape(6, 2, 1, 2)),
        made(classes=("a", "b", "c")),
        made(test_x=X, test_y=Y),
    )
    assert len({fingerprint(dataset) for dataset in (same, *others)}) == 6
