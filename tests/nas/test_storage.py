"""Files whole or absent, names that stay inside, strict JSON."""

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.storage import Disk, check_name, inside, make_folder, new_folder, read_bounded, replace_file
from nas.strict_json import DEPTH_LIMIT, Json, dump_json, parse_json
from search_spaces.errors import BadInput, StorageError

HOSTILE = [
    "../x",
    "/etc/x",
    "a\0b",
    "a" * 300,
    "-rf",
    "",
    ".",
    "..",
    ".hidden",
    "A",
    "a\n",
    "a b",
    "é",
    "~",
    "a\\b",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def nested(depth: int) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_replaced_file_holds_the_new_bytes_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_replaced_file_is_synced_before_it_takes_its_name_and_its_folder_after(tmp_path: Path) -> None:
    calls: list[str] = []

    def fsync(descriptor: int) -> None:
        calls.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")

    def write(descriptor: int, data: bytes | memoryview) -> int:
        calls.append("write")
        return os.write(descriptor, data)

    def replace(source: Path, target: Path) -> None:
        calls.append("replace")
        source.replace(target)

    replace_file(tmp_path / "x", b"data", disk=Disk(write=write, fsync=fsync, replace=replace))
    assert calls == ["write", "sync file", "replace", "sync folder"]


def test_short_writes_are_continued(tmp_path: Path) -> None:
    replace_file(tmp_path / "x", b"0123456789", disk=Disk(write=lambda fd, data: os.write(fd, data[:3])))
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_write_that_makes_no_progress_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="free some space"):
        replace_file(tmp_path / "x", b"data", disk=Disk(write=lambda _fd, _data: 0))
    assert list(tmp_path.iterdir()) == []


def test_replacing_a_link_leaves_what_it_pointed_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    link = tmp_path / "link"
    link.symlink_to(outside)
    replace_file(link, b"ours")
    assert outside.read_bytes() == b"theirs"
    assert not link.is_symlink()


def test_a_file_in_a_missing_folder_is_a_storage_error_that_says_where(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone/x: No such file"):
        replace_file(tmp_path / "gone" / "x", b"data")


def test_a_file_system_that_cannot_sync_folders_is_let_off(tmp_path: Path) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    replace_file(tmp_path / "x", b"data", disk=Disk(fsync=fsync))
    assert (tmp_path / "x").read_bytes() == b"data"


def test_a_made_folder_is_synced_into_each_parent_even_when_it_was_there(tmp_path: Path) -> None:
    synced: set[int] = set()
    disk = Disk(fsync=lambda fd: synced.add(os.fstat(fd).st_ino))
    make_folder(tmp_path / "a" / "b", disk=disk)
    assert synced == {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino}
    synced.clear()
    make_folder(tmp_path / "a" / "b", disk=disk)
    assert synced == {(tmp_path / "a").stat().st_ino}


def test_a_folder_under_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="making the folder"):
        make_folder(tmp_path / "file" / "x")


@pytest.mark.parametrize("name", ["a", "0", "study-1", "b0.v2_x", "a" * 64])
def test_plain_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, None, 3, b"a"])
def test_hostile_names_are_refused_in_a_short_message(name: object) -> None:
    with pytest.raises(BadInput, match="expected up to 64") as refusal:
        check_name(name)
    assert len(str(refusal.value)) < 250


def test_a_place_inside_need_not_exist(tmp_path: Path) -> None:
    assert inside(tmp_path, "study/trials/0123abcd") == tmp_path.resolve() / "study" / "trials" / "0123abcd"


@pytest.mark.parametrize("name", [*HOSTILE, "a/../../x", "a//b", "a/", "/a", "a/./b"])
def test_a_place_inside_is_never_reached_by_a_hostile_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        inside(tmp_path, name)


def test_links_inside_are_followed_and_links_out_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "near").symlink_to("real")
    (root / "far").symlink_to(tmp_path)
    (root / "self").symlink_to(".")
    (root / "loop").symlink_to("loop")
    assert inside(root, "near/x") == (root / "real" / "x").resolve()
    for name in ("far", "far/x", "self", "loop"):
        with pytest.raises(BadInput, match="remove the link"):
            inside(root, name)


def test_a_root_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to("disk")
    assert inside(tmp_path / "results", "x") == (tmp_path / "disk" / "x").resolve()


def test_a_bounded_read_takes_exactly_the_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read_bounded(tmp_path / "x", 5) == b"12345"
    with pytest.raises(BadInput, match="more than 4 bytes"):
        read_bounded(tmp_path / "x", 4)


@pytest.mark.parametrize("name", ["missing", "folder", "pipe", "a\0b"])
def test_a_bounded_read_wants_a_plain_file_and_never_hangs(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput):
        read_bounded(tmp_path / name, 10)


@given(json_values)
def test_json_reads_back_equal_in_one_ascii_line(value: Json) -> None:
    text = dump_json(value)
    assert text.isascii()
    assert "\n" not in text
    assert repr(parse_json(text)) == repr(value)  # repr tells 1 from True and 0.0 from -0.0


def test_tuples_read_back_as_lists() -> None:
    assert parse_json(dump_json({"shape": (3, 32, 32)})) == {"shape": [3, 32, 32]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1.0, math.nan]}, r"value\.a\[1\]: got nan, expected a finite number"),
        ({"a": math.inf}, r"value\.a: got inf"),
        ({1: 2}, r"value: got the key 1, expected text"),
        ({"a": {3}}, r"value\.a: got set, expected JSON"),
        ({"a": b"x"}, r"value\.a: got bytes"),
        (nested(DEPTH_LIMIT + 1), r"got more than 64 levels"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_path(value: Json, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        dump_json(value)


def test_a_number_beyond_printing_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        dump_json(10**5000)
    with pytest.raises(BadInput, match="int beyond printing"):
        check_name(10**5000)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Json] = []
    loop.append(loop)
    with pytest.raises(BadInput, match="does it hold itself"):
        dump_json(loop)


def test_the_same_depth_is_written_and_read() -> None:
    assert parse_json(dump_json(nested(DEPTH_LIMIT))) == nested(DEPTH_LIMIT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' comes twice"),
        ('{"b": {"a": 1, "c": 0, "a": 1}}', "the key 'a' comes twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("1e999", "too large"),
        ("[1,]", "line 1 column 4"),
        ("", "Expecting value"),
        ("[" * 100_000, "more than 64 levels"),
        ("[" * 100 + "]" * 100, "more than 64 levels"),
        ('{"a":' * 100_000, "more than 64 levels"),
        ("9" * 5000, "limit"),
    ],
)
def test_loose_json_is_refused_where_it_stands(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"^here: .*{message}"):
        parse_json(text, where="here")


def test_brackets_in_text_and_side_by_side_are_no_depth() -> None:
    flat = json.dumps(['[{"[' * 1000, [[]] * 1000])
    assert parse_json(flat) == json.loads(flat)


def test_a_new_folder_is_there_whole_when_the_block_ends(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "new") as place:
        replace_file(place / "a", b"1")
        assert not (tmp_path / "deep" / "new").exists()
    assert (tmp_path / "deep" / "new" / "a").read_bytes() == b"1"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["new"]


def test_a_new_folder_whose_block_fails_is_not_there_at_all(tmp_path: Path) -> None:
    def fails() -> None:
        with new_folder(tmp_path / "new") as place:
            replace_file(place / "a", b"1")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_never_takes_the_place_of_files(tmp_path: Path) -> None:
    def meets_another() -> None:
        with new_folder(tmp_path / "new"):
            (tmp_path / "new").mkdir()
            (tmp_path / "new" / "theirs").write_text("kept")

    with pytest.raises(StorageError, match=r"new: .* give another name"):
        meets_another()
    assert (tmp_path / "new" / "theirs").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_new_folder_is_synced_before_and_after_it_takes_its_place(tmp_path: Path) -> None:
    done: list[str] = []

    def note(what: str, call: object) -> object:
        def noted(*given: object) -> object:
            done.append(what)
            return call(*given)  # type: ignore[operator]

        return noted

    disk = Disk(fsync=note("fsync", os.fsync), replace=note("replace", os.replace))  # type: ignore[arg-type]
    with new_folder(tmp_path / "new", disk=disk):
        pass
    assert done[-1] == "fsync"
    assert done[-2] == "replace"
    assert "fsync" in done[:-2]
