"""Runs the benchmarks named (all without names), prints their tables and writes them into the pages of docs/ that have a place for them."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    augmentation,
    capacity,
    footprint,
    gateway_overhead,
    labels,
    packing,
    predictions,
    queue_size,
    rolling,
    startup,
    statements,
)
from benchmarks.figures import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = {"rolling": DOCS / "resilience.md", "capacity": DOCS / "capacity.md"}
"""Where the figures go that are not for docs/performance.md."""
BENCHMARKS = {
    "labels": labels.main,
    "queue_size": queue_size.main,
    "statements": statements.main,
    "gateway_overhead": gateway_overhead.main,
    "predictions": predictions.main,
    "packing": packing.main,
    "augmentation": augmentation.main,
    "footprint": footprint.main,
    "startup": startup.main,
    "rolling": rolling.main,
    "capacity": capacity.main,
}


def write(name: str, result: str) -> None:
    """Replaces the part of the page between this benchmark's two marks."""
    path = PAGES.get(name, DOCS / "performance.md")
    page = path.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{path.name} has no place for {name}: it needs the marks <!-- {name} --> and <!-- end {name} -->")
    stamp = f"Measured on {datetime.now(UTC):%Y-%m-%d}, {machine()}."
    path.write_text(pattern.sub(lambda found: f"{found[1]}{stamp}\n\n{result}\n{found[2]}", page))


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    for name in names or list(BENCHMARKS):
        print(f"\n## {name}\n", flush=True)
        result = BENCHMARKS[name]()
        print(result, flush=True)
        write(name, result)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
