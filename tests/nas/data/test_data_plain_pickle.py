"""Pickles read as data: what honest files hold comes out, and nothing in a hostile one runs."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data.sources.plain_pickle import NotPlain, read_plain

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.binary(), inner)
        | st.tuples(inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


def read(data: bytes) -> object:
    return read_plain(io.BytesIO(data), size=len(data))


@given(plain, st.integers(2, 5))
def test_plain_values_come_back_as_they_were(value: object, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol=protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["u1", "<i8", ">i4", "<f4", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_come_back_as_they_were(protocol: int, kind: str, order: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(kind, order=order)  # type: ignore[call-overload]
    back = read(pickle.dumps({"data": array, "again": array}, protocol=protocol))
    assert isinstance(back, dict)
    assert back["data"].dtype == array.dtype
    assert np.array_equal(back["data"], array)
    assert np.array_equal(back["again"], array)


def python_2(labels: bytes, pixels: bytes) -> bytes:
    """Write {'labels': [...], 'data': array} as Python 2 and numpy of its days did."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85U\x01b\x87Rq\x06"
        + b"(K\x01K"
        + bytes([len(labels)])
        + b"K"
        + bytes([len(pixels) // len(labels)])
        + b"\x86cnumpy\ndtype\nq\x07U\x02u1K\x00K\x01\x87Rq\x08"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(pixels))
        + pixels
        + b"tb"
    )
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    return b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(" + numbers + b"eU\x04data" + array + b"u."


def test_what_python_2_wrote_is_read() -> None:
    pixels = bytes(range(250, 256)) + bytes(6)
    back = read(python_2(bytes([3, 9]), pixels))
    assert isinstance(back, dict)
    assert back["labels"] == [3, 9]
    assert back["data"].tolist() == [list(pixels[:6]), list(pixels[6:])]
    assert pickle.loads(python_2(bytes([3, 9]), pixels), encoding="latin1")["labels"] == [3, 9]  # noqa: S301


class Shell:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_nothing_in_a_hostile_pickle_runs(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({"data": [Shell(tmp_path / "ran")]}, protocol=protocol)
    with pytest.raises(NotPlain):
        read(data)
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)  # noqa: S301 - the trap is a real one
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damage"),
        (b"cos\nsystem\n(S'true'\ntR.", r"the name 'os.system'"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", r"the name 'builtins.eval'"),
        (b"\x80\x02cnumpy\ndtype\nU\x01O\x85R.", "an array of 'O'"),
        (b"\x80\x02cnumpy\ndtype\nU\x05u1,u1\x85R.", "an array of 'u1,u1'"),
        (b"\x80\x02cnumpy\nndarray\nK\x01\x85R.", "a call"),
        (b"\x80\x02cnumpy\nndarray\nK\x01\x85\x81.", "the operation NEWOBJ"),
        (b"\x80\x02cnumpy\nndarray\n}b.", "a state for a _Name"),
        (b"S'\\y'\n.", "the operation STRING"),
        (b"\x80\x02U\x01aQ.", "the operation BINPERSID"),
        (b"\x80\x02\x82\x01.", "the operation EXT1"),
        (b"\x80\x02h\x07.", "damage"),
        (b"\x80\x02]q\xff", "damage"),
        (b"\x80\x02" + b")" + b"\x85" * 2_000 + b"}\x85.", "damage"),
        (b"\x80\x02})" + b"\x85" * 2_000 + b"K\x01s.", "a tuple for a key"),
        (b"\x80\x02]r\xff\xff\xff\x7f0.", "the operation POP"),
        (b"\x80\x02B\xff\xff\xff\x7f.", "damage"),
        (pickle.dumps(OrderedDict(a=1)), "the name 'collections.OrderedDict'"),
        (pickle.dumps(np.array([None])), r"an array of 'O8'"),
        (pickle.dumps(np.float64(1)), r"the name 'numpy.core.multiarray.scalar'"),
    ],
)
def test_whatever_is_not_plain_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(NotPlain, match=message):
        read(data)


def test_a_pickle_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.data.sources.plain_pickle.MOST", 100)
    assert read(b"\x80\x02(" + b"]" * 90 + b"t.") == ([],) * 90
    with pytest.raises(NotPlain, match="no end within 100 operations"):
        read(b"\x80\x02(" + b"]" * 100 + b"t.")


def test_an_array_of_other_bytes_than_its_shape_needs_is_refused() -> None:
    data = pickle.dumps(np.zeros((3, 4), dtype=np.uint8), protocol=2)
    with pytest.raises(NotPlain, match=r"an array of 12 bytes for the shape \(3, 5\)"):
        read(data.replace(b"K\x03K\x04", b"K\x03K\x05"))
    with pytest.raises(NotPlain, match="for a whole number from 0"):
        read(data.replace(b"K\x03K\x04", b"K\x03N"))


def test_a_text_is_not_made_into_bytes_without_end() -> None:
    again = b"h\x01h\x02h\x03\x86R"
    data = (
        b"\x80\x02c_codecs\nencode\nq\x01X\xe8\x03\x00\x00"
        + b"a" * 1000
        + b"q\x02U\x06latin1q\x03]("
        + again * 50
    )
    with pytest.raises(NotPlain, match="over and over"):
        read(data + b"e.")


WHOLE = pickle.dumps(
    {"labels": [1, 2], "data": np.zeros((2, 3), dtype=np.uint8), "names": (b"a", 1.5)}, protocol=2
)


@pytest.mark.parametrize("end", range(0, len(WHOLE), 7))
def test_a_cut_pickle_is_refused(end: int) -> None:
    with pytest.raises(NotPlain):
        read(WHOLE[:end])


@settings(max_examples=100)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_read_or_refused_and_never_a_traceback(at: int, change: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= change
    try:
        read(bytes(data))
    except NotPlain as refusal:
        assert str(refusal)  # noqa: PT017 - most changes are seen, some make other plain values
