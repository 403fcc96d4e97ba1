"""A tabular benchmark: what every member of a search space scored, looked up instead of trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from search_spaces.automaton import count
from search_spaces.errors import BadInput
from search_spaces.explain import short
from search_spaces.genotype import to_genotype
from search_spaces.moves import encode
from search_spaces.names import nearest
from search_spaces.network import Network
from search_spaces.presets import preset
from search_spaces.serialise import key

from ..strategies.base import Code
from .identity import Reader, by_arch, by_key, members
from .rows import Cells, File, csv_rows, read_rows

Row = tuple[float, ...]
BUNDLED = "nasbench201"  # NASBENCH201.md says what it holds
IDENTITIES: Mapping[str, Callable[[Network], Reader]] = {"arch": by_arch, "key": by_key}
NAMED = 3  # missing members that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Finite metrics of every member of a space, by code (`search_spaces.encode`)."""

    name: str
    space: Network
    columns: tuple[str, ...]
    rows: Mapping[Code, Row]

    def place(self, column: str) -> int:
        """Return a column's position in the rows; `BadInput` names the nearest."""
        if column not in self.columns:
            raise _unknown(self.name, column, self.columns)
        return self.columns.index(column)

    def of(self, network: Network) -> dict[str, float]:
        """Return a member's metrics; `BadInput` where it is no member of the space."""
        row = self.rows.get(encode(self.space, network))
        if row is None:
            raise BadInput(
                f"{self.name}: got {key(network)}, which has no row; was it made in another space?"
            )
        return dict(zip(self.columns, row, strict=True))


@lru_cache(maxsize=1)
def bundled() -> Table:
    """Return NAS-Bench-201: 15,625 cells, three decimals (Dong & Yang 2020)."""
    import gzip

    data = gzip.decompress((files(__package__) / f"{BUNDLED}.csv.gz").read_bytes())
    return table_of(
        csv_rows(data, source=BUNDLED), preset("nasbench201", (3, 32, 32), classes=10), name=BUNDLED
    )


def load_table(path: Path, space: Network, *, columns: Sequence[str] | None = None) -> Table:
    """Read a table of a space from CSV, gzipped CSV or Parquet.

    A column `arch` (published notation) or `key` (our 16 hex digits) says whom a row is about; of the others those
    in `columns` are read, or all. Raises `BadInput`: a member without a row or with two, a number that is none.
    """
    return table_of(read_rows(path), space, name=path.name.partition(".")[0], columns=columns)


def table_of(file: File, space: Network, *, name: str, columns: Sequence[str] | None = None) -> Table:
    """Return the table that a file's rows make for a space; raises `BadInput`."""
    identity = next((one for one in IDENTITIES if one in file.columns), None)
    if identity is None:
        raise BadInput(
            f"{file.source}: got the columns {', '.join(file.columns)}, expected arch or key among them, to say which "
            "member each row is about"
        )
    known = tuple(c for c in file.columns if c not in IDENTITIES)
    metrics = known if columns is None else tuple(dict.fromkeys(columns))
    for column in metrics:
        if column not in known:
            raise _unknown(file.source, column, known)
    rows = _rows(file, identity, IDENTITIES[identity](space), metrics)
    _check_whole(rows, space, file.source, identity)
    return Table(name=name, space=space, columns=metrics, rows=rows)


def _rows(file: File, identity: str, read: Reader, metrics: tuple[str, ...]) -> dict[Code, Row]:
    rows: dict[Code, Row] = {}
    places: dict[Code, str] = {}
    for where, cells in file.rows:
        try:
            code = read(cells[identity])
            row = tuple([_number(cells, column) for column in metrics])
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
        if code in rows:
            raise BadInput(
                f"{where}: got {short(cells[identity])} a second time, after {places[code]}; remove one of them"
            )
        rows[code], places[code] = row, where
    return rows


def _number(cells: Cells, column: str) -> float:
    cell = cells[column]
    try:
        number = float(cell)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{column}: got {short(cell)}, expected a finite number; mend it or remove the column")
    return number


def _check_whole(rows: Mapping[Code, Row], space: Network, source: str, identity: str) -> None:
    """Refuse a table that lacks members."""
    size = count(space)
    if len(rows) == size:
        return
    named = [name for _, name in zip(range(NAMED), _missing(rows, space, identity), strict=False)]
    raise BadInput(
        f"{source}: got {len(rows):,} rows for a space of {size:,} members, expected one for each; without a row: "
        f"{', '.join(named)}{' and more' if size - len(rows) > NAMED else ''}; add them, or make the space smaller"
    )


def _missing(rows: Mapping[Code, Row], space: Network, identity: str) -> Iterator[str]:
    name = to_genotype if identity == "arch" else key
    return (name(member) for code, member in members(space) if code not in rows)


def _unknown(source: str, column: str, known: Sequence[str]) -> BadInput:
    return BadInput(
        f"{source}: got the column {column!r}, expected one of {', '.join(known) or 'none that is there'}"
        f"{nearest(column, known)}"
    )
