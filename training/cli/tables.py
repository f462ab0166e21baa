"""Turns the reports of the ``models`` command into lines for people."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.cli.parser import default_models
from training.measure.card import flat, worst_kinds

Report = Mapping[str, Any]

HEADINGS = ("VERSION", "CHAMPION", "CREATED", "ARCHITECTURE", "ACCURACY", "SIZE", "LATENCY")
FOLLOWS = "; a running service takes it up within 2 s"


def where(models: Path) -> str:
    """Returns the flag that names a repository in a command to copy; nothing for the default."""
    return "" if models == default_models() else f" --models {shlex.quote(str(models))}"


def versions(report: Report) -> list[str]:
    """Returns a line for each version, in columns; the line of a damaged one has the reason."""
    if not report["versions"]:
        return ["no versions; train or models import FILE.onnx publishes one"]
    told = [challenges(report)] if report["challenger"] and report["champion"] else []
    return [*columns([HEADINGS, *map(_cells, report["versions"])]), *told]


def card(content: Report) -> list[str]:
    """Returns a line for each value of a card, with its path in the card."""
    return columns([(name, _cell(value)) for name, value in flat(content)])


def verified(report: Report) -> list[str]:
    """Returns what the checks of a version found."""
    test = report["test"]
    same = "as in its card" if test["as_in_card"] else "its card has other test images (see --data)"
    right = f"{round(test['accuracy'] * test['count'])} of {test['count']} right"
    return [
        f"SHA-256    {report['sha256']}, as in its card",
        f"accuracy   {right}, {test['accuracy']:.4f}; {same}",
        f"version {report['version']} passed every check, also of input, output and batches",
    ]


def challenges(report: Report) -> str:
    """Returns who challenges whom, and how."""
    mode = f"for {report['share']:.3g} of the callers" if report["share"] else "in the shadow"
    return f"version {report['challenger']} challenges {report['champion']} {mode}"


def verdict(report: Report) -> list[str]:
    """Returns how the challenger does."""
    share, agreed = report["agreement"], "no image yet"
    if share is not None:
        agreed = f"{report['images']:,} images, {share:.2%} of them with the same digit"
    return [
        f"version {report['version']} against {report['champion']}, {report['mode']}: {agreed}",
        f"{report['verdict']}: {report['reason']}",
    ]


def comparison(report: Report) -> list[str]:
    """Returns both accuracies and McNemar's test; the JSON has the images that differ."""
    first, second = report["first"], report["second"]
    return [
        f"version {first}: {report['first_accuracy']:.4f}",
        f"version {second}: {report['second_accuracy']:.4f}",
        (
            f"both right {report['both_right']}, both wrong {report['both_wrong']}, "
            f"only {first} right {report['only_first_right']}, "
            f"only {second} right {report['only_second_right']}, of {report['count']} images"
        ),
        f"McNemar's exact test: p = {report['p_value']:.3g}",
    ]


def pruned(report: Report) -> list[str]:
    """Returns which versions are gone, and which stay."""
    removed, kept = (", ".join(report[name]) for name in ("removed", "kept"))
    return [f"removed {removed}; kept {kept}" if removed else f"nothing to remove; kept {kept}"]


def imported(report: Report) -> list[str]:
    """Returns what an import detected, and how accurate the version is."""
    part, proof = report["imported"], report["verification"]
    found, kinds = part["found"], worst_kinds(report["robustness"], report["doubt"])
    exporter = part["producer"] or "an unknown exporter"
    form = ", ".join(found[name] for name in ("layout", "scale", "ink"))
    chosen = f"chosen of {len(part['measured'])} forms: {form}"
    within = f"within {proof['largest_difference']:.1g} of the original model's"
    return [
        f"{part['file']}: from {exporter}, opset {part['opset']}, {report['parameters']:,} weights",
        f"{chosen}; output {found['output']}: {found['answer']}",
        f"verified on {proof['images']:,} images: probabilities {within}",
        f"Test accuracy: {report['test']['accuracy']:.4f}",
        kinds,
    ]


def columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows with aligned columns; a row that is shorter than the first ends freely."""
    full = [row for row in table if len(row) == len(table[0])]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in table
    ]


def _cells(row: Report) -> tuple[str, ...]:
    champion = "*" if row["champion"] else ""
    if "error" in row:
        return row["version"], champion, row["error"]
    return (
        row["version"],
        champion,
        *(str(row[key] or "-") for key in ("created", "architecture")),
        _number(row["accuracy"], "{:.4f}"),
        _number(row["size_bytes"] and row["size_bytes"] / 1024, "{:.0f} KiB"),
        _number(row["latency_ms"], "{:.3f} ms"),
    )


def _number(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else "-"


def _cell(value: Any) -> str:
    if not isinstance(value, list):
        return "-" if value is None else str(value)
    nested = any(isinstance(item, list | Mapping) for item in value)
    return f"{len(value)} entries" if nested else ", ".join(map(str, value))
