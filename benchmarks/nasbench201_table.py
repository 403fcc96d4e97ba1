"""Write the bundled table of NAS-Bench-201 from the full one; nas/bench/NASBENCH201.md says what it holds.

    python benchmarks/nasbench201_table.py nasbench201.parquet [--out nas/bench/nasbench201.csv.gz]

The same input and the same zlib give the same bytes. Needs pandas and pyarrow.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import pandas as pd

ROWS = 15_625
DECIMALS = 3  # the 12-epoch accuracies are multiples of 0.002 and 0.02; means of three seeds move by 0.00033
COLUMNS = (
    "arch", "cifar10_val_12ep", "cifar10_test_200ep", "cifar100_val_12ep", "cifar100_test_200ep", "cost_12ep_s",
    "params_cifar10", "macs_cifar10", "params_cifar100", "macs_cifar100", "iso_class",
)  # fmt: skip
MOST_BYTES = 700_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="nasbench201.parquet")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "nas/bench/nasbench201.csv.gz"
    )
    given = parser.parse_args()
    full = pd.read_parquet(given.source).sort_values("index")
    assert len(full) == full["arch"].nunique() == ROWS, f"got {len(full)} rows, expected {ROWS}"
    table = rounded(full.loc[:, list(COLUMNS)])
    data = gzip.compress(table.to_csv(index=False, lineterminator="\n").encode(), 9, mtime=0)
    assert len(data) < MOST_BYTES, f"got {len(data):,} bytes"
    given.out.write_bytes(data)
    print(f"{given.out}: {len(table):,} rows, {len(data):,} bytes")


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its real columns rounded; no value moves by 0.0005 or more."""
    real = table.select_dtypes("floating").columns
    made = table.copy()
    made[real] = made[real].round(DECIMALS)
    assert ((made[real] - table[real]).abs() < 10**-DECIMALS / 2).all(axis=None)
    return made


if __name__ == "__main__":
    main()
