"""The rows of a table's file: CSV, gzipped CSV or Parquet; the first line names the columns."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from search_spaces.errors import BadInput

from ..storage import read_bounded

LARGEST = 256_000_000  # bytes, unpacked
SUFFIXES = (".csv", ".csv.gz", ".parquet")

Cells = Mapping[str, object]  # texts, or what Parquet gave, by column


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What a file holds: its columns, and each row with its place: `mine.csv, line 7`."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, Cells], ...]


def read_rows(path: Path) -> File:
    """Read a file of at most 256 MB; `BadInput` names the line of what cannot be read."""
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise BadInput(f"{path}: got the name {path.name}, expected one that ends in {', '.join(SUFFIXES)}")
    if name.endswith(".parquet"):
        return _parquet(path)
    data = read_bounded(path, LARGEST)
    return csv_rows(_unpacked(data, path) if name.endswith(".gz") else data, source=str(path))


def csv_rows(data: bytes, *, source: str) -> File:
    """Read UTF-8 CSV whose first line names the columns."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput(f"{source}, line {line}: got bytes that are no UTF-8 text; save it as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        _check_columns(columns, source)
        return File(source=source, columns=columns, rows=tuple(_lines(reader, columns, source)))
    except csv.Error as error:
        raise BadInput(f"{source}, line {reader.line_num}: {error}; is it CSV?") from None


def _lines(reader: Iterator[list[str]], columns: tuple[str, ...], source: str) -> Iterator[tuple[str, Cells]]:
    for cells in reader:
        if not cells:
            continue  # an empty line
        where = f"{source}, line {reader.line_num}"  # type: ignore[attr-defined]  # csv's own reader
        if len(cells) != len(columns):
            raise BadInput(f"{where}: got {len(cells)} cells, expected {len(columns)} as in the first line")
        yield where, dict(zip(columns, cells, strict=True))


def _check_columns(columns: tuple[str, ...], source: str) -> None:
    if not any(columns):
        raise BadInput(f"{source}: got no columns, expected a first line such as arch,accuracy,seconds")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{source}, line 1: the column {twice!r} stands twice; rename or remove one")


def _unpacked(data: bytes, path: Path) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be unpacked ({error}); is it whole?") from None
    if len(unpacked) > LARGEST:
        raise BadInput(f"{path}: got more than {LARGEST:,} bytes unpacked, expected at most that")
    return unpacked


def _parquet(path: Path) -> File:
    read_bounded(path, LARGEST)
    import pandas as pd  # takes a second

    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise BadInput(f"{path}: Parquet needs the package pyarrow; install it, or save as CSV") from None
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise BadInput(f"{path}: cannot be read as Parquet ({error}); is it whole?") from None
    columns = tuple(map(str, frame.columns))
    _check_columns(columns, str(path))
    values = (cast("tuple[object, ...]", row) for row in frame.itertuples(index=False, name=None))
    rows = ((f"{path}, row {i}", dict(zip(columns, row, strict=True))) for i, row in enumerate(values, 1))
    return File(source=str(path), columns=columns, rows=tuple(rows))
