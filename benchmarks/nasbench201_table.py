"""Write the bundled table of NAS-Bench-201 from the full ones; nas/bench/NASBENCH201.md says what it holds.

    python benchmarks/nasbench201_table.py nasbench201.parquet nasbench201_hardware.parquet

The same input and the same zlib give the same bytes. Needs pandas and pyarrow.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import pandas as pd

ROWS = 15_625
DECIMALS = 3  # the 12-epoch accuracies are multiples of 0.002 and 0.02; means of three seeds move by 0.00033
FINER = {"eyeriss_ms": 5}  # 38 values, some 0.00003 apart: as modelled
COLUMNS = (
    "arch", "cifar10_val_12ep", "cifar10_test_200ep", "cifar100_val_12ep", "cifar100_test_200ep", "cost_12ep_s",
    "params_cifar10", "macs_cifar10", "params_cifar100", "macs_cifar100", "iso_class",
)  # fmt: skip
LATENCIES = {  # the column in the file of latencies, and ours
    "hwnasbench_raspi4_ms": "raspi4_ms",
    "hwnasbench_eyeriss_ms": "eyeriss_ms",
    "help_titanx_256_ms": "titanx_256_ms",
    "help_gold_6226_ms": "gold6226_ms",
}
MOST_BYTES = 700_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="nasbench201.parquet")
    parser.add_argument("hardware", type=Path, help="nasbench201_hardware.parquet")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "nas/bench/nasbench201.csv.gz"
    )
    given = parser.parse_args()
    full = pd.read_parquet(given.source)
    assert len(full) == full["arch"].nunique() == ROWS, f"got {len(full)} rows, expected {ROWS}"
    latencies = pd.read_parquet(given.hardware).rename(columns=LATENCIES)
    joined = full.merge(latencies, on="index", validate="one_to_one").sort_values("index")
    assert len(joined) == ROWS, f"got latencies of {len(joined)} rows, expected {ROWS}"
    table = rounded(joined.loc[:, [*COLUMNS, *LATENCIES.values()]])
    data = gzip.compress(table.to_csv(index=False, lineterminator="\n").encode(), 9, mtime=0)
    assert len(data) < MOST_BYTES, f"got {len(data):,} bytes"
    given.out.write_bytes(data)
    print(f"{given.out}: {len(table):,} rows, {len(data):,} bytes")


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its real columns rounded; no value moves by more than half of the last decimal."""
    made = table.copy()
    for name in table.select_dtypes("floating").columns:
        decimals = FINER.get(name, DECIMALS)
        exact = table[name].astype("float64")  # latencies come as 32-bit floats
        made[name] = exact.round(decimals)
        assert ((made[name] - exact).abs() <= 10**-decimals / 2 + 1e-12).all()
    return made


if __name__ == "__main__":
    main()
