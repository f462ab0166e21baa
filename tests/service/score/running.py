"""Runs ``score`` in a process of its own, and reads what it wrote."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyarrow import parquet

ROOT = Path(__file__).parents[3]


def start(*words: str | Path, stdin: Any = None, limit: str = "") -> subprocess.Popen[str]:
    """Starts the command; ``limit`` is a command of the shell before it."""
    command = [sys.executable, "-m", "service.cli.score", *map(str, words)]
    if limit:
        command = ["sh", "-c", f'{limit}; exec "$@"', "sh", *command]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def score(*words: str | Path, stdin: str = "", limit: str = "") -> tuple[int, str, str]:
    """Returns the status, standard output and standard error."""
    process = start(*words, stdin=subprocess.PIPE if stdin else None, limit=limit)
    out, err = process.communicate(stdin or None, timeout=240)
    return process.returncode, out, err


def rows(file: Path) -> list[dict[str, Any]]:
    """Returns the rows of a result in any form, in the types of JSON lines."""
    if file.suffix == ".parquet":
        found: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
        return found
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    with file.open(newline="") as text:
        return [
            row
            | {
                "index": int(row["index"]),
                "digit": int(row["digit"]) if row["digit"] else None,
                "confidence": float(row["confidence"]) if row["confidence"] else None,
                "doubts": row["doubts"].split(",") if row["doubts"] else [],
                "error": row["error"] or None,
            }
            for row in csv.DictReader(text)
        ]


def places(file: Path) -> list[tuple[str, int]]:
    """Returns the source and the index of every row."""
    return [(row["source"], row["index"]) for row in rows(file)]
