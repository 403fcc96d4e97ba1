"""What a cluster is sent of a study, and what is refused because it would not be there."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from nas import shipping
from nas.config import StudyConfig, read_config
from nas.shipping import Order, check, command, pack
from search_spaces.errors import BadInput


def config(*overrides: str) -> StudyConfig:
    return read_config("space: mixed", list(overrides), source="test")


def order(results: str = "/mnt/shared/results", *shared: str) -> Order:
    return Order(
        config_file=Path("mine.yaml"),
        overrides=["trials=3"],
        name="first",
        results=PurePosixPath(results),
        shared=[PurePosixPath(one) for one in shared],
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "mine.yaml",
        "own/blocks.py",
        "results/run/journal.jsonl",
        "data/x.npz",
        ".venv/lib/a.py",
        ".env",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_code_and_config_are_sent_and_results_environments_and_data_are_not(home: Path) -> None:
    made = pack(home, [Path("mine.yaml")], leave_out=["data"])
    assert names(made.content) == ["mine.yaml", "own/blocks.py"]
    assert made.files == 2


def test_what_a_study_needs_is_sent_whatever_is_left_out(home: Path) -> None:
    assert names(pack(home, [Path("results/run/journal.jsonl")], leave_out=["*"]).content) == [
        "results/run/journal.jsonl"
    ]


def test_the_same_files_make_the_same_package_and_others_another(home: Path) -> None:
    first = pack(home, [])
    (home / "mine.yaml").touch()  # later, the same
    assert pack(home, []) == first
    (home / "mine.yaml").write_text("other")
    assert pack(home, []).name != first.name


def test_a_link_is_not_followed_out_of_the_folder(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "key"
    secret.write_text("secret")
    (home / "link").symlink_to(secret)
    (home / "folder").symlink_to(secret.parent)
    assert not [name for name in names(pack(home, []).content) if "link" in name or "folder" in name]


def test_too_much_is_refused_with_the_largest_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "MOST_BYTES", 1000)
    (home / "big.bin").write_bytes(bytes(5_000_000))
    with pytest.raises(
        BadInput, match=r"5 MB, expected 0 at most; the largest: big\.bin \(5 MB\), .* --leave-out"
    ):
        pack(home, [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["data={source: npz, path: data/x.npz}"],
            r"data\.path: got data/x\.npz, which is not shipped; expected an",
        ),
        (["data={source: npz, path: /home/me/x.npz}"], r"got /home/me/x\.npz, .* inside /mnt/shared"),
        (["data={source: npz, path: /mnt/shared/../me/x.npz}"], r"data\.path: got /mnt/shared/\.\./me"),
        (
            ["space=/home/me/space.yaml"],
            r"space: got /home/me/space\.yaml, an absolute path, which would not be",
        ),
        (["space=../space.yaml"], r"space: got \.\./space\.yaml, expected a file inside"),
        (["space=none.yaml"], r"space: got none\.yaml, expected a file inside"),
        (["latency.table=/tmp/table.json"], r"latency\.table: got /tmp/table\.json, an absolute path"),
    ],
)
def test_what_would_not_be_there_is_refused_by_name(home: Path, settings: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check(order(), config(*settings), home)


def test_what_lies_on_the_clusters_storage_may_be_named(home: Path) -> None:
    check(order(), config("data={source: npz, path: /mnt/shared/x.npz}", "space=/mnt/shared/a.yaml"), home)
    check(order("/r/results", "/r", "/data"), config("data={source: npz, path: /data/x.npz}"), home)
    with pytest.raises(BadInput, match="--results: got results, expected the absolute path"):
        check(order("results"), config(), home)


def test_a_module_from_elsewhere_is_refused_and_one_that_ships_is_not(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far_blocks_of_mine.py").write_text("")
    (home / "near_blocks_of_mine.py").write_text("")
    for folder in (elsewhere, home):
        monkeypatch.syspath_prepend(str(folder))
    check(order(), config("imports=[near_blocks_of_mine, json, numpy]"), home)
    with pytest.raises(BadInput, match=f"far_blocks_of_mine: lies in {elsewhere}, outside"):
        check(order(), config("imports=[far_blocks_of_mine]"), home)
    with pytest.raises(BadInput, match="far_blocks_of_mine: lies in"):
        check(order(), config("data.source=far_blocks_of_mine:load"), home)


def test_the_command_is_that_of_the_same_file() -> None:
    assert command(order(), config_file="mine.yaml") == (
        "python -m nas search mine.yaml trials=3 --cluster auto --results /mnt/shared/results --name first"
    )


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_ray_unpacks_a_package_where_a_job_starts(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packaging = pytest.importorskip("ray._private.runtime_env.packaging")
    (home / "run.sh").write_text("#!/bin/sh")
    (home / "run.sh").chmod(0o755)
    made = pack(home, [Path("mine.yaml")])
    at = tmp_path_factory.mktemp("node")
    (at / made.name).write_bytes(made.content)
    packaging.unzip_package(
        str(at / made.name), str(at / "job"), remove_top_level_directory=False, unlink_zip=True
    )
    assert (at / "job" / "own" / "blocks.py").read_text() == "own/blocks.py"
    assert (at / "job" / "run.sh").stat().st_mode & 0o111
    assert packaging.is_zip_uri(made.uri)
