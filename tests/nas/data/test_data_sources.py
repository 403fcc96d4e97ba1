"""The sources: what they read, and how they refuse what is missing, damaged or something else."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from nas.data import ArrayKeys, DataSpec
from nas.data.dataset import Array, Dataset
from nas.data.load import load_search_data, load_test
from search_spaces.errors import BadInput

IMAGES = np.arange(40 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(40, 28, 28)
LABELS = (np.arange(40) % 10).astype(np.uint8)


def idx(array: Array) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write_fashion(folder: Path, *, zipped: bool) -> DataSpec:
    for prefix, count in (("train", 40), ("t10k", 20)):
        for name, array in (("images-idx3", IMAGES[:count]), ("labels-idx1", LABELS[:count])):
            data = gzip.compress(idx(array)) if zipped else idx(array)
            (folder / f"{prefix}-{name}-ubyte{'.gz' if zipped else ''}").write_bytes(data)
    return DataSpec(source="fashion_mnist", path=str(folder), validation=0.25, limit=None)


def write_npz(folder: Path, **arrays: Array) -> str:
    path = folder / "toy.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def test_the_digits_are_whole_and_real() -> None:
    data, held = load_search_data(DataSpec()), load_test(DataSpec())
    assert (len(data.train.x), len(data.validation.x), len(held.test.x)) == (1076, 362, 359)
    assert data.input_shape == (1, 8, 8)
    assert (data.outputs, data.task) == (10, "classification")
    assert data.train.x.dtype == np.uint8
    assert int(data.train.x.max()) == 16
    assert min(np.bincount(data.validation.y)) >= 34


@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist_is_read_from_its_four_files(tmp_path: Path, zipped: bool) -> None:
    spec = write_fashion(tmp_path, zipped=zipped)
    data, held = load_search_data(spec), load_test(spec)
    assert data.train.x.shape == (30, 1, 28, 28)
    assert data.classes is not None
    assert data.classes[9] == "Ankle boot"
    assert np.array_equal(held.test.x, IMAGES[:20, None])
    assert held.test.y.tolist() == LABELS[:20].tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"got the magic number 0x00000000, expected 0x00000803"),
        (b"\x89PNG 1234 some picture", r"got the magic number 0x89504e47"),
        (idx(LABELS), r"got the magic number 0x00000801, expected 0x00000803"),
        (idx(IMAGES)[:-1], r"got 31359 bytes after the header, expected 31360 for \(40, 28, 28\)"),
        (idx(IMAGES) + b"x", r"got more bytes after the header, expected 31360"),
        (idx(IMAGES[:39]), r"train-labels-idx1-ubyte: got 40 labels, expected 39 as in train-images"),
        (idx(IMAGES[:, :14]), r"got sizes \(40, 14, 28\)"),
        (struct.pack(">4I", 0x803, 2**31, 28, 28), r"got sizes \(2147483648, 28, 28\)"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    spec = write_fashion(tmp_path, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(BadInput, match=message) as refusal:
        load_search_data(spec)
    assert str(tmp_path) in str(refusal.value)


@pytest.mark.parametrize("keep", [0, 5, 12, 100, -1])
def test_a_cut_gzip_file_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    spec = write_fashion(tmp_path, zipped=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"t10k-images-idx3-ubyte.gz: got .*; download the file again"):
        load_search_data(spec)


def test_a_flipped_bit_in_a_gzip_file_is_noticed(tmp_path: Path) -> None:
    spec = write_fashion(tmp_path, zipped=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"t10k-images-idx3-ubyte.gz"):
        load_search_data(spec)


def test_a_missing_file_says_which_and_where(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"data.path: got nothing, expected the folder of the four"):
        load_search_data(DataSpec(source="fashion_mnist"))
    with pytest.raises(BadInput, match=r"nowhere: got no such file or folder, .*; check data.path"):
        load_search_data(DataSpec(source="fashion_mnist", path=str(tmp_path / "nowhere")))
    with pytest.raises(BadInput, match=r"got no train-images-idx3-ubyte.gz and no train-images-idx3-ubyte"):
        load_search_data(DataSpec(source="fashion_mnist", path=str(tmp_path)))
    with pytest.raises(BadInput, match=r"expected an npz file"):
        load_search_data(DataSpec(source="npz", path="a\0b"))


def test_an_npz_of_train_and_test_arrays_keeps_its_test_part(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(50, 40)), np.arange(50) % 5
    spec = DataSpec(
        source="npz", path=write_npz(tmp_path, x_train=x, y_train=y, x_test=x[:7] + 9, y_test=y[:7])
    )
    data = load_search_data(spec)
    assert (len(data.train.x), len(data.validation.x), data.input_shape) == (40, 10, (1, 40))
    assert np.array_equal(load_test(spec).test.x[:, 0], (x[:7] + 9).astype(np.float32))


def test_an_npz_of_one_piece_is_split_by_its_groups(tmp_path: Path) -> None:
    groups = np.arange(60) // 6
    x = np.repeat(groups, 8).reshape(60, 8).astype(np.float32)
    spec = DataSpec(source="npz", path=write_npz(tmp_path, x=x, y=np.arange(60) % 2, groups=groups))
    data = load_search_data(spec)
    parts = [{float(v) for v in part.reshape(-1)} for part in (data.train.x, data.validation.x)]
    parts.append({float(v) for v in load_test(spec).test.x.reshape(-1)})
    assert sorted(map(len, parts)) == [2, 2, 6]
    assert len(set.union(*parts)) == 10


def test_arrays_of_an_npz_go_by_any_name(tmp_path: Path) -> None:
    path = write_npz(tmp_path, signal=np.ones((20, 3, 9)), kind=np.array(["b", "a"] * 10), who=np.arange(20))
    keys = ArrayKeys(x="signal", y="kind", groups="who")
    data = load_search_data(DataSpec(source="npz", path=path, keys=keys, layout="channels_first"))
    assert (data.input_shape, data.classes) == ((3, 9), ("a", "b"))


def test_an_npz_may_name_its_classes(tmp_path: Path) -> None:
    path = write_npz(
        tmp_path, x=np.ones((20, 9)), y=np.arange(20) % 2, classes=np.array(["no", "yes", "perhaps"])
    )
    data = load_search_data(DataSpec(source="npz", path=path))
    assert (data.classes, data.outputs) == (("no", "yes", "perhaps"), 3)


def test_float_targets_make_a_regression(tmp_path: Path) -> None:
    path = write_npz(tmp_path, x=np.ones((20, 9)), y=np.ones((20, 2)))
    data = load_search_data(DataSpec(source="npz", path=path))
    assert (data.task, data.outputs, data.classes) == ("regression", 2, None)


def test_arrays_that_are_not_there_are_asked_for_by_name(tmp_path: Path) -> None:
    path = write_npz(tmp_path, X=np.ones((20, 9)), y=np.arange(20))
    with pytest.raises(BadInput, match=r"got the arrays X, y, expected also x; name yours in data.keys"):
        load_search_data(DataSpec(source="npz", path=path))
    with pytest.raises(BadInput, match=r"expected also label"):
        load_search_data(DataSpec(source="npz", path=path, keys=ArrayKeys(x="X", y="label")))
    path = write_npz(tmp_path, x_train=np.ones((20, 9)), y_train=np.arange(20), x_test=np.ones((2, 9)))
    with pytest.raises(BadInput, match=r"expected also y_test"):
        load_search_data(DataSpec(source="npz", path=path))


class Trap:
    """What must never be unpickled."""

    def __reduce__(self) -> tuple[type[SystemExit], tuple[int]]:
        return SystemExit, (3,)


def test_nothing_in_an_npz_is_unpickled(tmp_path: Path) -> None:
    path = write_npz(tmp_path, x=np.array([Trap(), Trap()], dtype=object), y=np.arange(2))
    with pytest.raises(BadInput, match=r"toy.npz\[x\]: got Object arrays cannot be loaded"):
        load_search_data(DataSpec(source="npz", path=path))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"not an archive", b"\x93NUMPY\x01\x00"])
def test_what_is_no_npz_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "toy.npz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"toy.npz: got .*, expected an npz file"):
        load_search_data(DataSpec(source="npz", path=str(path)))


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(BadInput, match=r"one.npy: got a single array"):
        load_search_data(DataSpec(source="npz", path=str(tmp_path / "one.npy")))


@pytest.mark.parametrize("at", range(0, 2400, 160))
def test_a_flipped_bit_in_an_npz_never_ends_in_a_traceback(tmp_path: Path, at: int) -> None:
    path = Path(write_npz(tmp_path, x=np.ones((20, 9)), y=np.arange(20) % 2))
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x10
    path.write_bytes(data)
    try:
        load_search_data(DataSpec(source="npz", path=str(path)))
    except BadInput as refusal:
        assert str(path) in str(refusal)  # noqa: PT017 - a flip in unused bytes does no harm


OWN = """
import numpy as np
import torch
from nas.data.dataset import Dataset

x, y = np.ones((20, 9)), np.arange(20) % 2
number = 3

def pair(): return x, y
def tensors(): return torch.ones(20, 4, 9), torch.arange(20) % 2
def grouped(): return x, y, np.arange(20) // 4
def four(): return x, y, x[:5], y[:5]
def whole(): return Dataset(name="mine", x=np.ones((20, 6, 9)), y=y)
def at(path): return x + len(path), y
def wrong(): return [x, y]
def single(): return (x,)
def failing(): raise KeyError("mine")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_data_module.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


def search(attribute: str, *, path: str | None = None) -> tuple[int, ...]:
    return load_search_data(DataSpec(source=f"own_data_module:{attribute}", path=path)).input_shape


@pytest.mark.usefixtures("own")
def test_the_users_own_function_may_return_any_of_the_forms() -> None:
    assert [search(name) for name in ("pair", "grouped", "four")] == [(1, 9)] * 3
    assert search("whole") == (6, 9)
    assert search("tensors") == (1, 4, 9)  # read as a grey image, like any (N, H, W)
    assert search("at", path="abc") == (1, 9)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("own_data_module:pairs", r"in own_data_module: got 'pairs', .* did you mean 'pair'\?"),
        ("own_data_module:number", r"got a int, expected a callable"),
        ("own_data_module:wrong", r"got a list, expected a Dataset, \(x, y\)"),
        ("own_data_module:single", r"got a tuple of 1, expected"),
        ("no_such_module_here:pair", r"No module named 'no_such_module_here', .* on PYTHONPATH\?"),
        (":pair", r"data.source: got ':pair' and the module name ''"),
        (".x:pair", r"data.source: got '.x:pair'"),
    ],
)
def test_what_is_not_the_users_data_is_refused(source: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_search_data(DataSpec(source=source))


@pytest.mark.usefixtures("own")
def test_what_the_users_function_raises_is_left_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        search("failing")


@pytest.mark.parametrize(
    "spec",
    [
        DataSpec(path="somewhere"),
        DataSpec(layout="channels_last"),
        DataSpec(source="fashion_mnist", keys=ArrayKeys(groups="g")),
        DataSpec(source="npz", size=32),
        DataSpec(source="images", layout="channels_last"),
        DataSpec(source="cifar100", size=32),
    ],
)
def test_a_setting_that_the_source_would_ignore_is_refused(spec: DataSpec) -> None:
    with pytest.raises(BadInput, match=r"has no use for it; leave it out"):
        load_search_data(spec)


def test_a_dataset_is_checked_when_it_is_made() -> None:
    with pytest.raises(BadInput, match="mine: got one class only"):
        Dataset(name="mine", x=np.ones((4, 1, 3)), y=np.zeros(4, dtype=int))
