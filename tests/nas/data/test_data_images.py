"""Folders of pictures: what each file becomes, how sizes and kinds meet, and what is refused."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.data import DataSpec
from nas.data.dataset import Array, Dataset
from nas.data.load import load_search_data, load_test
from nas.data.sources import image_files, images, pictures
from search_spaces.errors import BadInput


def solid(
    path: Path, colour: tuple[int, ...] | int = 0, size: tuple[int, int] = (6, 6), mode: str = "RGB"
) -> None:
    """Write a picture of one colour; `size` is (width, height), as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def pair(folder: Path, ending: str = "png") -> Path:
    """Write two classes, cat and dog, of four small pictures each."""
    for name, colour in (("cat", 10), ("dog", 200)):
        for number in range(4):
            solid(folder / name / f"{number}.{ending}", (colour + number, 0, 0))
    return folder


def load(folder: Path, size: int | tuple[int, int] | None = None) -> Dataset:
    return images.load(DataSpec(source="images", path=str(folder), size=size))


def refusal(folder: Path) -> str:
    with pytest.raises(BadInput) as refused:
        load(folder)
    return str(refused.value)


def test_a_folder_a_class_becomes_a_dataset(tmp_path: Path) -> None:
    dataset = load(pair(tmp_path / "pets"))
    assert (dataset.name, dataset.classes, dataset.test_count) == ("pets", ("cat", "dog"), None)
    assert (dataset.x.shape, dataset.x.dtype) == ((8, 3, 6, 6), np.uint8)
    assert dataset.y.tolist() == [0] * 4 + [1] * 4
    assert dataset.x[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 200, 201, 202, 203]
    spec = DataSpec(source="images", path=str(tmp_path / "pets"), validation=0.25, test=0.25)
    data, held = load_search_data(spec), load_test(spec)
    assert (len(data.train.x), len(data.validation.x), len(held.test.x)) == (4, 2, 2)


@pytest.mark.parametrize("ending", ["png", "PNG", "jpg", "JPEG", "bmp", "gif", "webp", "tif", "Tiff"])
def test_every_format_and_spelling_is_read(tmp_path: Path, ending: str) -> None:
    dataset = load(pair(tmp_path, ending))
    assert len(dataset.x) == 8
    assert np.abs(dataset.x[4:, 0].astype(int) - 201).max() < 8


def test_a_ready_split_keeps_its_test_part(tmp_path: Path) -> None:
    pair(tmp_path / "train")
    for number in range(3):
        solid(tmp_path / "test" / "dog" / f"{number}.png", (99, 0, 0))
    spec = DataSpec(source="images", path=str(tmp_path), validation=0.25)
    data, held = load_search_data(spec), load_test(spec)
    assert (len(data.train.x), len(data.validation.x), data.held_out) == (6, 2, 3)
    assert held.test.y.tolist() == [1, 1, 1]
    assert np.unique(held.test.x[:, 0]).tolist() == [99]


def test_train_alone_is_split_like_any_folder(tmp_path: Path) -> None:
    pair(tmp_path / "train")
    assert (load(tmp_path).classes, load(tmp_path).test_count) == (("cat", "dog"), None)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "test", "train"):
        solid(tmp_path / name / "a.png")
    assert load(tmp_path).classes == ("bus", "test", "train")


def test_the_order_of_the_file_system_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(tmp_path)
    before = load(tmp_path)
    real = os.scandir

    class Shuffled:
        def __init__(self, path: Path) -> None:
            self.entries = list(real(path))
            random.Random(3).shuffle(self.entries)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self.entries)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("nas.data.sources.image_files.os.scandir", Shuffled)
    assert np.array_equal(load(tmp_path).x, before.x)


def stripes(width: int, height: int) -> Array:
    """Return grey pixels whose value is ten times their column."""
    return np.tile(10 * np.arange(width, dtype=np.uint8), (height, 1))


def test_mixed_sizes_come_to_the_commonest(tmp_path: Path) -> None:
    pair(tmp_path)
    solid(tmp_path / "cat" / "wide.png", size=(20, 9))
    assert load(tmp_path).x.shape == (9, 3, 6, 6)
    for number in range(9):
        solid(tmp_path / "dog" / f"large {number}.png", size=(8, 9))
    assert load(tmp_path).x.shape == (18, 3, 9, 8)


def test_of_equally_common_sizes_the_larger_is_taken(tmp_path: Path) -> None:
    for name, size in (("cat", (4, 5)), ("dog", (5, 4)), ("emu", (3, 6))):
        solid(tmp_path / name / "a.png", size=size)
    assert load(tmp_path).x.shape[2:] == (5, 4)


@pytest.mark.parametrize(("size", "shape"), [(4, (4, 4)), ((5, 3), (5, 3)), (12, (12, 12))])
def test_a_size_may_be_set(tmp_path: Path, size: int | tuple[int, int], shape: tuple[int, int]) -> None:
    assert load(pair(tmp_path), size).x.shape[2:] == shape


def test_a_picture_of_another_shape_is_cut_around_its_centre(tmp_path: Path) -> None:
    solid(tmp_path / "dog" / "a.png", mode="L", size=(4, 4))
    (tmp_path / "cat").mkdir()
    Image.fromarray(stripes(12, 4)).save(tmp_path / "cat" / "wide.png")
    assert load(tmp_path, 4).x[0, 0].tolist() == stripes(12, 4)[:, 4:8].tolist()


def test_a_camera_held_upright_gives_an_upright_picture(tmp_path: Path) -> None:
    picture = Image.fromarray(stripes(6, 3))
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6  # turn by a quarter to see it
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "a.png", exif=exif)
    assert load(tmp_path).x[0, 0].tolist() == np.rot90(stripes(6, 3), -1).tolist()


def test_a_large_jpeg_decoded_small_looks_the_same(tmp_path: Path) -> None:
    smooth = np.outer(np.linspace(0, 255, 640), np.linspace(0.2, 1, 480)).astype(np.uint8)
    for name, ending in (("cat", "png"), ("dog", "jpg")):
        (tmp_path / name).mkdir()
        Image.fromarray(smooth).save(
            tmp_path / name / f"a.{ending}", **({"quality": 95} if ending == "jpg" else {})
        )
    x = load(tmp_path, (64, 48)).x.astype(int)
    assert np.abs(x[0] - x[1]).max() <= 4


def test_grey_pictures_have_one_channel(tmp_path: Path) -> None:
    for mode, name in (("L", "cat"), ("1", "cat"), ("LA", "dog")):
        solid(tmp_path / name / f"{mode}.png", (7, 255) if mode == "LA" else 1, mode=mode)
    dataset = load(tmp_path)
    assert dataset.x.shape == (3, 1, 6, 6)
    assert dataset.x[:, 0, 0, 0].tolist() == [255, 1, 7]


def test_grey_among_colour_becomes_colour(tmp_path: Path) -> None:
    pair(tmp_path)
    solid(tmp_path / "cat" / "grey.png", 77, mode="L")
    assert load(tmp_path).x[4, :, 0, 0].tolist() == [77, 77, 77]


def test_the_test_part_has_no_say_in_size_or_kind(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        solid(tmp_path / "train" / name / "a.png", 50, mode="L", size=(4, 4))
        for copy in range(3):
            solid(tmp_path / "test" / name / f"{copy}.png", (255, 0, 0), size=(9, 8 + number))
    dataset = load(tmp_path)
    assert dataset.x.shape == (2, 1, 4, 4)
    assert dataset.test_x is not None
    assert np.unique(dataset.test_x).tolist() == [76]  # red as grey, ITU-R 601-2


def test_palettes_are_colour_and_what_is_transparent_lies_over_white(tmp_path: Path) -> None:
    solid(tmp_path / "cat" / "half.png", (0, 0, 0, 128), mode="RGBA")
    solid(tmp_path / "cat" / "none.png", (1, 2, 3, 0), mode="RGBA")
    palette = Image.new("P", (6, 6), 1)
    palette.putpalette([9, 8, 7, 10, 20, 30])
    (tmp_path / "dog").mkdir()
    palette.save(tmp_path / "dog" / "solid.png")
    palette.save(tmp_path / "dog" / "clear.png", transparency=1)
    x = load(tmp_path).x[:, :, 0, 0].tolist()
    assert x == [[127, 127, 127], [255, 255, 255], [255, 255, 255], [10, 20, 30]]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    solid(tmp_path / "cat" / "a.tif", (0, 255, 255, 0), mode="CMYK")
    solid(tmp_path / "dog" / "a.png")
    assert load(tmp_path).x[0, :, 0, 0].tolist() == [255, 0, 0]


def deep(path: Path, kind: str = "u2", top: float = 60_000) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.linspace(0, top, 36).reshape(6, 6).astype(kind)).save(path)


@pytest.mark.parametrize(("kind", "ending"), [("u2", "png"), ("u2", "tif"), ("i4", "tif"), ("f4", "tif")])
def test_deep_grey_pictures_keep_their_numbers(tmp_path: Path, kind: str, ending: str) -> None:
    for name in ("cat", "dog"):
        deep(tmp_path / name / f"a.{ending}", kind)
    dataset = load(tmp_path)
    assert (dataset.x.shape, dataset.x.dtype) == ((2, 1, 6, 6), np.float32)
    assert np.array_equal(dataset.x[0, 0], np.linspace(0, 60_000, 36).reshape(6, 6).astype(kind).astype("f4"))
    assert load(tmp_path, 3).x.max() <= 60_000


def test_depths_are_not_mixed(tmp_path: Path) -> None:
    deep(pair(tmp_path) / "cat" / "deep.png")
    said = refusal(tmp_path)
    assert "got 1 pictures with more than 8 bits a channel among 9: cat/deep.png; expected one depth" in said
    for number in range(9):
        deep(tmp_path / "dog" / f"deep {number}.png")
    assert "got 8 pictures with only 8 bits a channel among 18: cat/0.png" in refusal(tmp_path)


def test_the_first_picture_of_several_in_a_file_counts(tmp_path: Path) -> None:
    pair(tmp_path)
    frames = [Image.new("RGB", (6, 6), (0, shade, 0)) for shade in (90, 180)]
    for name in ("moving.gif", "moving.webp", "pages.tif"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / "cat" / name, save_all=True, append_images=frames[1:], **options)  # type: ignore[arg-type]
    assert load(tmp_path).x[4:7, 1, 0, 0].tolist() == [90, 90, 90]


def test_what_is_hidden_or_no_picture_is_passed_over(tmp_path: Path) -> None:
    pair(tmp_path)
    for name in (
        "labels.csv",
        "cat/.DS_Store",
        "cat/._0.png",
        ".cache/a.png",
        "cat/notes.txt",
        "Thumbs.db",
        "cat/png",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no picture")
    assert load(tmp_path).x.shape == (8, 3, 6, 6)


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header promises more than it has."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [
        part for chunk in (header, pixels, b"IEND") for part in (struct.pack(">I", len(chunk) - 4), chunk)
    ]
    checks = [struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, pixels, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        length + chunk + check for length, chunk, check in zip(chunks[::2], chunks[1::2], checks, strict=True)
    )


def test_all_files_that_cannot_be_read_are_named_together(tmp_path: Path) -> None:
    pair(tmp_path)
    whole = (tmp_path / "cat" / "0.png").read_bytes()
    (tmp_path / "cat" / "1.png").write_bytes(whole[:-30])  # its header is sound
    (tmp_path / "cat" / "2.jpg").write_bytes(b"")
    (tmp_path / "dog" / "bomb.png").write_bytes(png(60_000, 60_000))
    (tmp_path / "dog" / "large.png").write_bytes(png(10_000, 10_000))
    (tmp_path / "dog" / "script.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")
    said = refusal(tmp_path)
    assert "got 5 pictures that cannot be read: cat/1.png (" in said
    assert (
        "cat/2.jpg (no picture of a known format), dog/bomb.png (more than 89478485 pixels), dog/large.png (m"
        in said
    )
    assert "dog/script.png (no picture of a known format); expected whole ones; mend or remove them" in said


def test_many_unreadable_files_are_counted(tmp_path: Path) -> None:
    pair(tmp_path)
    for number in range(15):
        (tmp_path / "cat" / f"bad {number:02}.png").write_text("no")
    said = refusal(tmp_path)
    assert "got 15 pictures that cannot be read: cat/bad 00.png (" in said
    assert "cat/bad 09.png (no picture of a known format) and 5 more; expected" in said
    for path in tmp_path.rglob("?.png"):
        path.write_text("no")
    assert "got 23 pictures that cannot be read" in refusal(tmp_path)


def test_a_damaged_picture_of_the_test_part_is_told_before_the_search(tmp_path: Path) -> None:
    pair(tmp_path / "train")
    pair(tmp_path / "test")
    path = tmp_path / "test" / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])
    assert "got 1 pictures that cannot be read: test/dog/1.png" in refusal(tmp_path)


STORED = {}
for _format in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
    _file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 8, 3)).astype(np.uint8)).save(
        _file, _format
    )
    STORED[_format] = _file.getvalue()


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(STORED)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=5),
)
def test_a_changed_byte_is_read_or_named_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(STORED[name])
    for at, change in changes:
        data[at % len(data)] ^= change
    folder = tmp_path_factory.getbasetemp() / "changed"
    for place in ("cat", "dog"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "a.png").write_bytes(data)
    try:
        load(folder, 4)
    except BadInput as refused:
        assert "got 2 pictures that cannot be read: cat/a.png (" in str(refused)  # noqa: PT017 - or it is read


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "got no folders, expected some of pictures; a class is a subfolder of pictures"),
        (["a.png"], "got a.png outside of a class folder, expected folders of pictures"),
        (["cat/a.png", "dog/a.png", "b.png"], "got b.png outside of a class folder"),
        (["cat/a.png"], r"got one class only \(cat\), expected at least two; .* check data.path"),
        (["cat/a.png", "dog/"], "got no pictures in dog, expected .png, .jpg, .* or remove the folder"),
        (["cat/a.png", "dog/a.heic"], "got no pictures in dog"),
        (["cat/a.png", "dog/.a.png"], "got no pictures in dog"),
        (
            ["pets/cat/a.png", "pets/dog/a.png"],
            "pets: got cat, dog inside a class folder, expected pictures only",
        ),
        (["cat/a.png", "dog/a.png", "dog/old/b.png"], "dog: got old inside a class folder"),
        (["Train/cat/a.png", "Test/cat/a.png"], r"Test: got cat inside .* below train/ and test/"),
        (
            ["train/cat/a.png", "train/dog/a.png", "val/cat/a.png"],
            "got val beside train/, expected test/ at most",
        ),
        (["train/cat/a.png", "train/dog/a.png", "a.png"], "got a.png outside of a class folder"),
        (
            ["train/cat/a.png", "train/dog/a.png", "test/emu/a.png"],
            "test: got emu, expected the classes of train/",
        ),
        (["train/cat/a.png", "train/dog/a.png", "test/"], "test: got no folders"),
        (["train/cat/a.png", "train/dog/a.png", "test/cat/"], "test: got no pictures in cat"),
        (["train/cat/a.png", "train/dog/a.png", "test/a.png"], "test: got a.png outside"),
        (["cat/a.png", "do\ng/a.png"], r"do\\ng: got a class whose name cannot be printed"),
        (["cat/a.png", "dog\udcff/a.png"], r"dog\\udcff: got a class whose name cannot be printed"),
    ],
)
def test_a_folder_that_leaves_doubt_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        elif name.endswith((".png", ".heic")):
            solid(tmp_path / "picture.png")
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "picture.png").rename(tmp_path / name)
    with pytest.raises(BadInput, match=message):
        load(tmp_path)


def test_links_inside_the_folder_are_followed_and_those_that_lead_out_are_refused(tmp_path: Path) -> None:
    folder = pair(tmp_path / "pets")
    (folder / "emu").symlink_to("cat")
    (folder / "cat" / "again.png").symlink_to("0.png")
    (tmp_path / "door").symlink_to("pets")
    assert load(tmp_path / "door").x.shape == (13 + 1, 3, 6, 6)
    solid(tmp_path / "secret.png")
    (folder / "cat" / "out.png").symlink_to("../../secret.png")
    assert "cat: got links that lead out of the data's folder: out.png, expected the pictures" in refusal(
        folder
    )
    (folder / "cat" / "out.png").unlink()
    (folder / "fox").symlink_to(tmp_path)
    assert "pets: got links that lead out of the data's folder: fox" in refusal(folder)


def test_links_to_nothing_and_pipes_are_named_and_never_waited_for(tmp_path: Path) -> None:
    pair(tmp_path)
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "cat" / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    said = refusal(tmp_path)
    assert "got 3 pictures that cannot be read: cat/gone.png (no file to read), cat/loop.png (" in said
    assert "dog/pipe.png (no file to read)" in said


def test_a_folder_inside_that_leads_back_is_refused(tmp_path: Path) -> None:
    (pair(tmp_path) / "cat" / "back").symlink_to(tmp_path)
    assert "got back inside a class folder" in refusal(tmp_path)


def test_a_file_name_that_cannot_be_printed_is_escaped(tmp_path: Path) -> None:
    (pair(tmp_path) / "cat" / "\x1b[31m\udc80.png").write_text("no")
    assert r"cat/\x1b[31m\udc80.png (no picture" in refusal(tmp_path)
    assert image_files.shown("großer Hund") == "großer Hund"


def test_more_than_half_of_the_memory_is_refused_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        BadInput, match=r"8 pictures of 1000000 x 1000000, which take 24000.0 GB, .* set data.size"
    ):
        load(pair(tmp_path), 1_000_000)
    monkeypatch.setattr(images, "_memory", lambda: 2 * 8 * 3 * 36)
    assert len(load(tmp_path).x) == 8
    monkeypatch.setattr(images, "_memory", lambda: 2 * 8 * 3 * 36 - 1)
    assert "which take 0.0 GB, expected at most half of the memory of 0.0 GB" in refusal(tmp_path)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    with pytest.raises(BadInput, match=r"a.zip: got a file, expected a folder with a subfolder of pictures"):
        load(tmp_path / "a.zip")
    with pytest.raises(
        BadInput, match=r"got nothing, expected a folder with a subfolder of pictures for each class"
    ):
        images.load(DataSpec(source="images"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (pair(tmp_path) / "cat").chmod(0)
    assert "cat: got Permission denied" in refusal(tmp_path)
