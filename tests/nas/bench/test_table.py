"""The bundled table is whole, and a table of one's own is read to the last cell or refused by its line."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

import nas.bench
from nas.bench import Table, bundled, load_table
from nas.bench.identity import by_arch, members
from scaling.cost import cost
from search_spaces import Choice, Classifier, Conv, Network, NeverFalls, Stage, key, sample
from search_spaces.errors import BadInput
from search_spaces.genotype import from_genotype, to_genotype
from search_spaces.moves import encode
from search_spaces.presets import preset
from search_spaces.zoo import model

SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
NONES = SKIPS.replace("skip_connect", "none")
CONVS = SKIPS.replace("skip_connect", "nor_conv_3x3")


def tiny() -> Network:
    """Four members."""
    return Network(
        input=(1, 8, 8),
        stages=(Stage(blocks=(Conv(kernel=Choice(3, 5)),), width=Choice(4, 8)),),
        head=Classifier(classes=2),
    )


def lines(space: Network, *columns: str) -> list[str]:
    """A table by keys: member i has the value i in every column."""
    head = ",".join(("key", *columns))
    return [head, *(",".join((key(m), *[str(i)] * len(columns))) for i, (_, m) in enumerate(members(space)))]


def read(folder: Path, text: list[str] | str, space: Network | None = None, **settings: object) -> Table:
    path = folder / "mine.csv"
    path.write_text(text if isinstance(text, str) else "\n".join(text))
    return load_table(path, space or tiny(), **settings)


def of(arch: str) -> dict[str, float]:
    table = bundled()
    return table.of(from_genotype(table.space, arch))


def test_the_bundled_table_has_every_cell_once_and_the_published_extremes():
    table = bundled()
    assert len(table.rows) == 5**6
    best = {name: max(row[table.place(name)] for row in table.rows.values()) for name in table.columns}
    assert round(best["cifar10_test_200ep"], 2) == 94.37
    assert round(best["cifar100_test_200ep"], 2) == 73.51
    assert len({row[table.place("iso_class")] for row in table.rows.values()}) == 6466


@pytest.mark.parametrize(("arch", "cifar10", "cifar100"), [(SKIPS, 54.30, 15.61), (NONES, 10.0, 1.0)])
def test_known_cells_have_their_published_accuracies(arch, cifar10, cifar100):
    row = of(arch)
    assert (round(row["cifar10_test_200ep"], 2), round(row["cifar100_test_200ep"], 2)) == (cifar10, cifar100)


def test_the_table_has_the_latencies_of_four_devices():
    """Row 0 of the sources, rounded: 10.48198, 3.64562, 17.47947, 10.52463 ms."""
    row = of(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    latencies = {name: value for name, value in row.items() if name.endswith("_ms")}
    assert latencies == {
        "raspi4_ms": 10.482, "eyeriss_ms": 3.64562, "titanx_256_ms": 17.479, "gold6226_ms": 10.525
    }  # fmt: skip


def test_the_bundled_table_stays_small():
    assert (Path(nas.bench.__file__).parent / "nasbench201.csv.gz").stat().st_size < 700_000


def test_params_and_macs_of_the_table_are_those_our_formula_gives():
    table, rng = bundled(), random.Random(0)
    for network in (from_genotype(table.space, CONVS), *(sample(table.space, rng) for _ in range(5))):
        spent = cost(network)
        row = table.of(network)
        assert (row["params_cifar10"], row["macs_cifar10"]) == (spent.params, spent.macs)


def test_the_quick_reader_of_cells_reads_what_the_thorough_one_does():
    space, rng = preset("nasbench201", (3, 32, 32), classes=10), random.Random(0)
    read_arch = by_arch(space)
    for network in (sample(space, rng) for _ in range(30)):
        assert read_arch(to_genotype(network)) == encode(space, network)
    for broken in (SKIPS.replace("+", ""), SKIPS + "x", SKIPS.replace("~2", "~1"), "|" + SKIPS, "", 7):
        with pytest.raises(BadInput):
            read_arch(broken)


def test_a_table_by_key_is_read_whatever_the_order_of_its_rows(tmp_path):
    head, *rest = lines(tiny(), "accuracy", "note")
    table = read(tmp_path, [head, *reversed(rest), "", ""], columns=["accuracy"])
    assert (table.name, table.columns) == ("mine", ("accuracy",))
    for i, (code, member) in enumerate(members(tiny())):
        assert table.rows[code] == (i,)
        assert table.of(member) == {"accuracy": i}


def test_a_packed_table_and_one_of_parquet_are_the_same_as_a_plain_one(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    plain = read(tmp_path, lines(tiny(), "accuracy"))
    packed, parquet = tmp_path / "mine.csv.gz", tmp_path / "mine.parquet"
    packed.write_bytes(gzip.compress((tmp_path / "mine.csv").read_bytes()))
    pd.read_csv(tmp_path / "mine.csv").to_parquet(parquet)
    assert load_table(packed, tiny()) == load_table(parquet, tiny()) == plain


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x[:-1], "got 3 rows for a space of 4 members, expected one for each; without a row: "),
        (lambda x: x[:1], "without a row: .*, .*, .* and more"),
        (lambda x: [*x, x[1]], "line 6: got '.*' a second time, after .*line 2; remove one"),
        (
            lambda x: [*x, "0123456789abcdef,1"],
            "line 6: key: got '0123456789abcdef', expected the key of a member",
        ),
        (
            lambda x: [*x[:2], x[2].split(",")[0] + ",nan", *x[3:]],
            "line 3: accuracy: got 'nan', expected a finite",
        ),
        (
            lambda x: [*x[:2], x[2].split(",")[0] + ",much", *x[3:]],
            "line 3: accuracy: got 'much', expected a finite",
        ),
        (lambda x: [*x[:2], x[2] + ",9", *x[3:]], "line 3: got 3 cells, expected 2"),
        (lambda x: ["name,accuracy", *x[1:]], "got the columns name, accuracy, expected arch or key"),
        (lambda x: ["key,key", *x[1:]], "line 1: the column 'key' stands twice"),
        (lambda _: [], "got no columns"),
        (lambda x: [x[0], '"' + x[1], *x[2:]], "is it CSV"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_its_line(tmp_path, change, says):
    with pytest.raises(BadInput, match=says):
        read(tmp_path, change(lines(tiny(), "accuracy")))


def test_a_column_that_is_not_there_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(BadInput, match="expected one of accuracy; did you mean 'accuracy'"):
        read(tmp_path, lines(tiny(), "accuracy"), columns=["acuracy"])
    with pytest.raises(BadInput, match="got the column 'macs', expected one of cifar10_val_12ep"):
        bundled().place("macs")


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("mine.csv", b"key,accuracy\n\xff\xfe", "line 2: got bytes that are no UTF-8 text"),
        ("mine.csv.gz", b"key,accuracy", "cannot be unpacked"),
        ("mine.parquet", b"PAR1", "cannot be read as Parquet"),
        ("mine.txt", b"", "expected one that ends in .csv"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadInput, match=says):
        load_table(path, tiny())
    with pytest.raises(BadInput):
        load_table(tmp_path / "none.csv", tiny())


def test_cells_of_another_kind_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"line 2: genotype: .*nor_conv_5x5"):
        read(tmp_path, ["arch,a", CONVS.replace("3x3~2", "5x5~2") + ",1"], bundled().space)
    with pytest.raises(BadInput, match="line 2: genotype"):
        read(tmp_path, ["arch,a", CONVS + ",1"], tiny())


def test_a_member_that_breaks_the_conditions_of_the_space_has_no_row(tmp_path):
    two = tiny().stages * 2
    space = Network(input=(1, 8, 8), stages=two, head=Classifier(classes=2), conditions=(NeverFalls(),))
    free = Network(input=(1, 8, 8), stages=two, head=Classifier(classes=2))
    assert len(read(tmp_path, lines(space, "a"), space).rows) == 12
    with pytest.raises(BadInput, match="expected the key of a member"):
        read(tmp_path, lines(free, "a"), space)


def test_a_network_of_another_space_has_no_row():
    with pytest.raises(BadInput):
        bundled().of(model("lenet5"))
