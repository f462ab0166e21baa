"""What every report of a measurement has: its place and time, a JSON file, Markdown tables."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def place_and_time() -> dict[str, Any]:
    """Returns when and where a measurement begins, and the load that it finds there."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "load_average": os.getloadavg()[0],
    }


def finish(report: dict[str, Any], out: Path, text: str) -> None:
    """Writes the report to ``out`` and prints its tables."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1))
    print(text)


def markdown(head: list[str], rows: Iterable[list[str]], left: int = 1) -> str:
    """Returns a table whose first ``left`` columns are text; an empty string without rows."""
    lines = [head, ["---"] * left + ["---:"] * (len(head) - left), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
