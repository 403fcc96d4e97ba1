"""CIFAR-10 and CIFAR-100: the official versions, the strips, and what is damaged or hostile among them."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataSpec
from nas.data.dataset import Array, Dataset, decoded, fingerprint
from nas.data.load import load_search_data, load_test
from nas.data.sources import cifar10, cifar_strips
from search_spaces.errors import BadInput

NAMES = [f"thing {number}" for number in range(100)]
EACH = 20  # pictures of a batch


def pictures(seed: int, count: int = EACH, classes: int = 10) -> tuple[Array, list[int]]:
    x = np.random.default_rng(seed).integers(0, 256, (count, 3072)).astype(np.uint8)
    return x, [(seed + number) % classes for number in range(count)]


def dump(path: Path, value: object, *, protocol: int = 2) -> None:
    path.write_bytes(pickle.dumps(value, protocol=protocol))


def python_10(folder: Path, *, protocol: int = 2) -> DataSpec:
    for seed, name in enumerate((*cifar10.TRAIN, "test_batch")):
        x, y = pictures(seed)
        dump(folder / name, {b"batch_label": b"", b"labels": y, b"data": x}, protocol=protocol)
    dump(folder / "batches.meta", {"label_names": NAMES[:10], "num_vis": 3072}, protocol=protocol)
    return DataSpec(source="cifar10", path=str(folder))


def binary_10(folder: Path) -> DataSpec:
    for seed, name in enumerate((*cifar10.TRAIN, "test_batch")):
        x, y = pictures(seed)
        (folder / f"{name}.bin").write_bytes(np.hstack([np.array(y, dtype=np.uint8)[:, None], x]).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES[:10]) + "\n\n")
    return DataSpec(source="cifar10", path=str(folder))


def set_100(folder: Path, *, binary: bool) -> DataSpec:
    for seed, name in enumerate(("train", "test")):
        x, y = pictures(seed, 200, 100)
        if binary:
            labels = np.stack([np.array(y) // 5, np.array(y)], axis=1).astype(np.uint8)
            (folder / f"{name}.bin").write_bytes(np.hstack([labels, x]).tobytes())
        else:
            dump(folder / name, {b"fine_labels": y, b"coarse_labels": [0] * 200, b"data": x})
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES))
    dump(folder / "meta", {b"fine_label_names": [name.encode() for name in NAMES]})
    return DataSpec(source="cifar100", path=str(folder))


def strips_10(path: Path, **changes: Array) -> DataSpec:
    arrays: dict[str, Array] = {}
    for seed, part in enumerate(("train", "test")):
        strips, (_, y) = stored_strips(seed), pictures(seed, 30)
        arrays |= {
            f"{part}_webp": np.frombuffer(b"".join(strips), dtype=np.uint8),
            f"{part}_offsets": np.cumsum([0, *map(len, strips)]),
            f"{part}_labels": np.array(y, dtype=np.uint8),
        }
    np.savez(path, **(arrays | changes))  # type: ignore[arg-type]
    return DataSpec(source="cifar10", path=str(path))


@cache  # lossless WebP takes its time to write
def stored_strips(seed: int) -> tuple[bytes, ...]:
    x, _ = pictures(seed, 30)
    return tuple(webp(x[start : start + 12]) for start in range(0, 30, 12))


def webp(x: Array, side: int = 32) -> bytes:
    image = Image.fromarray(x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).reshape(-1, side, 3))
    stored = io.BytesIO()
    image.save(stored, "WEBP", lossless=True)
    return stored.getvalue()


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar10_is_read_from_its_python_batches(tmp_path: Path, inside: str, protocol: int) -> None:
    (tmp_path / inside).mkdir(exist_ok=True)
    python_10(tmp_path / inside, protocol=protocol)
    spec = DataSpec(source="cifar10", path=str(tmp_path))
    data, held, whole = load_search_data(spec), load_test(spec), cifar10.load(spec)
    assert (len(data.train.x), len(data.validation.x), data.held_out) == (80, 20, 20)
    assert (data.input_shape, data.classes, data.train.x.dtype) == ((3, 32, 32), tuple(NAMES[:10]), np.uint8)
    assert np.array_equal(held.test.x.reshape(EACH, -1), pictures(5)[0])
    assert held.test.y.tolist() == pictures(5)[1]
    assert np.array_equal(whole.x[EACH : 2 * EACH].reshape(EACH, -1), pictures(1)[0])


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_the_binary_version_holds_the_same(tmp_path: Path, inside: str) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / inside).mkdir(exist_ok=True)
    binary_10(tmp_path / inside)
    binary = cifar10.load(DataSpec(source="cifar10", path=str(tmp_path)))
    assert fingerprint(binary) == fingerprint(cifar10.load(python_10(tmp_path / "python")))


@pytest.mark.parametrize("inside", ["", "cifar-100-python", "cifar-100-binary"])
def test_cifar100_is_read_by_its_fine_labels(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).mkdir(exist_ok=True)
    set_100(tmp_path / inside, binary="binary" in inside)
    spec = DataSpec(source="cifar100", path=str(tmp_path), validation=0.25)
    data, held = load_search_data(spec), load_test(spec)
    assert (data.outputs, data.input_shape, data.classes) == (100, (3, 32, 32), tuple(NAMES))
    assert np.array_equal(held.test.x.reshape(200, -1), pictures(1, 200, 100)[0])
    assert held.test.y.tolist() == pictures(1, 200, 100)[1]


def test_cifar10_is_read_from_its_strips(tmp_path: Path) -> None:
    spec = strips_10(tmp_path / "cifar10_webp.npz")
    data, held = load_search_data(replace(spec, path=str(tmp_path))), load_test(spec)
    assert (len(data.train.x), len(data.validation.x), data.held_out) == (20, 10, 30)
    assert data.classes is not None
    assert data.classes[6] == "frog"
    assert np.array_equal(held.test.x.reshape(30, -1), pictures(1, 30)[0])
    assert held.fingerprint == data.fingerprint
    assert np.array_equal(cifar10.load(spec).x.reshape(30, -1), pictures(0, 30)[0])


def test_a_search_leaves_the_test_strips_as_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, read = strips_10(tmp_path / "a.npz"), list[str]()
    opened = cifar_strips._pictures
    monkeypatch.setattr(
        cifar_strips, "_pictures", lambda where, data: read.append(where) or opened(where, data)
    )
    load_search_data(spec)
    assert len(read) == 3
    assert all("train" in where for where in read)
    load_test(spec)
    assert [where for where in read if "test_webp" in where] == [
        f"{tmp_path / 'a.npz'}[test_webp] strip {number}" for number in range(3)
    ]


def test_other_stored_test_strips_give_another_fingerprint(tmp_path: Path) -> None:
    whole = cifar10.load(strips_10(tmp_path / "a.npz"))
    other = cifar10.load(strips_10(tmp_path / "b.npz", test_labels=np.zeros(30, dtype=np.uint8)))
    assert fingerprint(whole) != fingerprint(other)
    assert whole.test_count == decoded(whole).test_count == 30


def test_the_official_files_go_before_the_strips(tmp_path: Path) -> None:
    spec = python_10(tmp_path)
    strips_10(tmp_path / "cifar10_webp.npz")
    assert len(cifar10.load(spec).x) == 100
    assert len(cifar10.load(replace(spec, path=str(tmp_path / "cifar10_webp.npz"))).x) == 30


class Shell:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_nothing_in_a_hostile_batch_runs(tmp_path: Path, name: str, protocol: int) -> None:
    spec = python_10(tmp_path)
    dump(tmp_path / name, {b"data": Shell(tmp_path / "ran"), b"labels": [1]}, protocol=protocol)
    with pytest.raises(
        BadInput, match=rf"{name}: got the .*, expected plain values .* nothing in it was run"
    ):
        load_search_data(spec)
    assert not (tmp_path / "ran").exists()


GOOD = {"data": pictures(0)[0], "labels": pictures(0)[1]}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "got no 'data'"),
        ({"data": GOOD["data"]}, "got no 'labels', expected a batch of the python version"),
        (GOOD | {"data": [1, 2]}, r"something else as data, expected bytes of shape \(N, 3072\)"),
        (GOOD | {"data": pictures(0)[0].astype("f4")}, "something else as data"),
        (GOOD | {"data": pictures(0)[0][:, :3000]}, "something else as data"),
        (GOOD | {"labels": ["a"] * EACH}, "something else as labels, expected a list of whole numbers"),
        (GOOD | {"labels": [1.0] * EACH}, "something else as labels"),
        (GOOD | {"labels": [1] * 19}, "got 20 pictures and 19 labels"),
        (GOOD | {"labels": [2**80] * EACH}, "got labels from 1208925819614629174706176 to"),
        (GOOD | {"labels": [-1] * EACH}, "got labels from -1 to -1, expected 0 to 9"),
        ({"data": GOOD["data"][:0], "labels": []}, "got 0 pictures and 0 labels"),
        ({"data": GOOD["data"][:7], "labels": [1] * 7}, "got 7 pictures, expected 20 as in data_batch_1"),
    ],
)
def test_a_batch_of_something_else_is_refused_by_name(tmp_path: Path, batch: object, message: str) -> None:
    spec = python_10(tmp_path)
    dump(tmp_path / "data_batch_2", batch)
    with pytest.raises(BadInput, match=rf"data_batch_2: got .*{message.removeprefix('got ')}.*; unpack"):
        load_search_data(spec)


@pytest.mark.parametrize("name", ["data_batch_4", "test_batch", "batches.meta"])
def test_a_missing_or_cut_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    spec = python_10(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    with pytest.raises(BadInput, match=rf"{name}: got "):
        load_search_data(spec)
    (tmp_path / name).unlink()
    with pytest.raises(BadInput, match=rf"got no {name}, expected it beside the other files"):
        load_search_data(spec)


def test_a_binary_file_of_another_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = binary_10(tmp_path)
    path = tmp_path / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"test_batch.bin: got 61459 bytes, expected a multiple of 3073"):
        load_search_data(spec)
    path.write_bytes(b"\xff" * 3073)
    with pytest.raises(BadInput, match=r"got labels from 255 to 255, expected 0 to 9"):
        load_search_data(spec)
    (tmp_path / "batches.meta.txt").write_text("one\ntwo\n")
    with pytest.raises(BadInput, match=r"batches.meta.txt: got 2 names, expected those of 10 classes"):
        load_search_data(spec)
    monkeypatch.setattr("nas.data.sources.cifar.MOST", 10)
    (tmp_path / "batches.meta.txt").write_text("one\n" * 10)
    with pytest.raises(BadInput, match=r"batches.meta.txt: got 40 bytes, expected at most 10"):
        load_search_data(spec)


def test_a_folder_without_the_files_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").touch()
    spec = DataSpec(source="cifar10", path=str(tmp_path))
    with pytest.raises(
        BadInput, match=r"none of data_batch_1, data_batch_1.bin, cifar10_webp.npz, .* unpack the arch"
    ):
        load_search_data(spec)
    with pytest.raises(
        BadInput, match=r"got none of train, train.bin, expected the unpacked files of cifar100"
    ):
        load_search_data(replace(spec, source="cifar100", path=str(tmp_path / "cifar-10-python.tar.gz")))
    with pytest.raises(BadInput, match=r"cifar-10-python.tar.gz: got .*, expected an npz file"):
        load_search_data(replace(spec, path=str(tmp_path / "cifar-10-python.tar.gz")))
    with pytest.raises(BadInput, match=r"data.size: got 32, expected nothing"):
        load_search_data(replace(spec, size=32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_offsets": np.array([0, 5, 3])}, "that do not fit together"),
        ({"train_offsets": np.array([0.0, 5.0])}, "that do not fit together"),
        ({"train_offsets": np.array([], dtype=int)}, "that do not fit together"),
        ({"train_labels": np.full(30, 10, dtype=np.uint8)}, "that do not fit together"),
        ({"test_labels": np.zeros(10**6, dtype=np.uint8)}, "that do not fit together"),
        (
            {"train_labels": np.arange(31, dtype=np.uint8) % 2},
            "got other than 31 pictures, expected one a label",
        ),
        ({"train_labels": np.arange(29, dtype=np.uint8) % 2}, "got other than 29 pictures"),
        ({"train_webp": np.array([{}])}, r"train_webp|Object arrays"),
    ],
)
def test_strips_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Array], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_search_data(strips_10(tmp_path / "a.npz", **change))


@pytest.mark.parametrize(
    ("strip", "message"),
    [
        (b"RIFF not at all", "no picture of a known format"),
        (webp(pictures(0)[0])[:-100], "strip 0: got"),
        (webp(pictures(0)[0], side=64), "64 x 320 pixels"),
    ],
)
def test_a_strip_that_is_none_is_refused_by_its_number(tmp_path: Path, strip: bytes, message: str) -> None:
    content, ends = np.frombuffer(strip, dtype=np.uint8), np.array([0, len(strip)])
    spec = strips_10(
        tmp_path / "a.npz",
        train_webp=content,
        train_offsets=ends,
        train_labels=np.arange(20, dtype=np.uint8) % 2,
    )
    with pytest.raises(BadInput, match=message) as refusal:
        load_search_data(spec)
    assert "a.npz[train_webp] strip 0: got" in str(refusal.value)


def test_an_npz_of_something_else_is_no_strips(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    with pytest.raises(BadInput, match=r"a.npz: got no train_webp, expected CIFAR-10 in strips"):
        load_search_data(DataSpec(source="cifar10", path=str(tmp_path / "a.npz")))


def real(name: str) -> str:
    folder = Path(os.environ.get("ARCHSCALE_DATA", "")) / name
    if "ARCHSCALE_DATA" not in os.environ or not folder.is_dir():
        pytest.skip(f"set ARCHSCALE_DATA to a folder that holds {name}/ to read the real files")
    return str(folder)


@pytest.mark.slow
def test_the_real_cifar10_has_its_published_sizes_and_statistics() -> None:
    """Means .4914 .4822 .4465 and deviations .2470 .2435 .2616 of the 50,000 are the ones in common use."""
    whole: Dataset = cifar10.load(DataSpec(source="cifar10", path=real("cifar10")))
    assert (whole.x.shape, whole.test_count) == ((50_000, 3, 32, 32), 10_000)
    assert np.bincount(whole.y).tolist() == [5000] * 10
    means, spreads = whole.x.mean(axis=(0, 2, 3)) / 255, whole.x.std(axis=(0, 2, 3)) / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
    assert spreads.tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=1e-4)
    if whole.test is not None:
        content = hashlib.sha256(decoded(whole).test_x.transpose(0, 2, 3, 1).tobytes())  # type: ignore[union-attr]
        assert content.hexdigest().startswith("ed70c5729393db59")
