"""The ``models`` command's answers as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.measure.compare import Comparison

HEADINGS = (
    *("VERSION", "CHAMPION", "CREATED", "ARCHITECTURE", "WEIGHTS", "ACCURACY", "SIZE", "LATENCY"),
)
MOST_CHANGES = 20


def versions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each version, in columns; a damaged one says what is wrong."""
    if not rows:
        return ["no versions"]
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [
        max(map(len, column)) for column in zip(*(c for c in cells if len(c) > 3), strict=True)
    ]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in cells
    ]


def card(content: Mapping[str, Any]) -> list[str]:
    """Every plain figure of a card, one a line, named by its way through the card."""
    pairs = list(_flat(content))
    width = max(len(name) for name, _ in pairs)
    return [f"{name.ljust(width)}  {value}" for name, value in pairs]


def comparison(compared: Comparison, first: int, second: int) -> list[str]:
    """Accuracies, McNemar's test and the first images that changed sides."""
    lines = [
        f"version {first}: {compared.first_accuracy:.4f}",
        f"version {second}: {compared.second_accuracy:.4f}",
        (
            f"both right {compared.both_right}, both wrong {compared.both_wrong}, "
            f"only {first} right {compared.only_first_right}, "
            f"only {second} right {compared.only_second_right}, of {compared.count} images"
        ),
        f"McNemar's exact test: p = {compared.p_value:.3g}",
    ]
    lines += [
        f"image {change.index}: a {change.label}; {first} reads {change.first}, {second} reads "
        f"{change.second}"
        for change in compared.changes[:MOST_CHANGES]
    ]
    more = len(compared.changes) - MOST_CHANGES
    return [*lines, f"and {more} more (--json lists all)"] if more > 0 else lines


def spread(report: Mapping[str, Any]) -> list[str]:
    """The mean of each figure, its standard deviation, and the least and the most that were."""
    table: list[tuple[str, ...]] = [("FIGURE", "MEAN", "DEVIATION", "LEAST", "MOST")]
    for name, figure in report["figures"].items():
        values = (figure["mean"], figure["deviation"], min(figure["values"]), max(figure["values"]))
        table.append((name, *(f"{value:.5g}" for value in values)))
    versions, seeds = (", ".join(map(str, report[key])) for key in ("versions", "seeds"))
    return [f"versions {versions}; seeds {seeds}", *_columns(table)]


def imported(card: Mapping[str, Any], version: int) -> list[str]:
    """What an imported model was found to want, how well it does, and where it is now."""
    part, proof = card["imported"], card["verification"]
    table: list[tuple[str, ...]] = [
        ("LAYOUT", "SIZE", "SCALE", "INK", "OUTPUT", "ANSWER", "ACCURACY", "LOSS", "IMAGES")
    ]
    table += [
        (
            *(str(form[key]) for key in ("layout", "size", "scale", "ink", "output", "answer")),
            *(f"{form['accuracy']:.4f}", f"{form['loss']:.4f}", str(form["images"])),
        )
        for form in part["measured"]
    ]
    by = part["producer"] or "nobody named"
    found = part["found"]
    way = "one image at a time" if part["one_at_a_time"] else "any batch at once"
    size = "" if found["size"] == "kept" else f" {found['size']}"
    form = f"{found['layout']}{size}, {found['scale']}, {found['ink']}; {found['output']}: "
    original, within = part["original"], f"{proof['largest_difference']:.1g}"
    of = "the graph in float32" if original["changed"] else "the file as it came"
    return [
        f"{part['file']}: by {by}, opset {part['opset']}, {card['parameters']:,} weights",
        "tried on training images, each moved by a pixel:",
        *(f"  {line}" for line in _columns(table)),
        f"taken: {form}{found['answer']}; {way}",
        f"proved on {proof['images']:,} images: within {within} of {of}",
        *_changed(original),
        f"Test accuracy: {card['test']['accuracy']:.4f}",
        _fares(card),
        f"version {version} is published; `models promote {version}` makes it champion",
    ]


def _fares(card: Mapping[str, Any]) -> str:
    if "doubt" not in card:
        return "it is too slow for more: not measured on damaged digits and on non-digits"
    return worst_kinds(card["robustness"], card["doubt"])


def worst_kinds(robustness: Mapping[str, float], doubt: Mapping[str, Any]) -> str:
    """Which damaged digits are read worst, and which non-digits are caught least, in one line."""
    worst = min(robustness, key=robustness.__getitem__)
    caught = {name: kind["caught"] for name, kind in doubt["kinds"].items()}
    least = min(caught, key=caught.__getitem__)
    return (
        f"{len(robustness)} kinds of digits: least accurate {robustness[worst]:.4f} ({worst}); "
        f"{len(caught)} of non-digits: least caught {caught[least]:.3f} ({least}), "
        f"where {doubt['digits']['pass']:.4f} of digits pass"
    )


def _changed(original: Mapping[str, Any]) -> list[str]:
    """How far a graph that had to be changed is from the file as it came."""
    if not original["changed"]:
        return []
    same = f"the same digit on {original['same_digit']:,} of {original['images']:,} images"
    by, within = original["by"], f"{original['largest_difference']:.1g}"
    return [f"that graph and the file as it came (by {by}): {same}, within {within}"]


def _columns(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    champion = "*" if row["champion"] else ""
    if "error" in row:
        return row["version"], champion, row["error"]
    return (
        row["version"],
        champion,
        str(row["created"] or "-"),
        str(row["architecture"] or "-"),
        str(row["weights"] or "-"),
        _number(row["accuracy"], "{:.4f}"),
        _number(row["size_bytes"] and row["size_bytes"] / 1024, "{:.0f} KiB"),
        _number(row["latency_ms"], "{:.3f} ms"),
    )


def _number(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else "-"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, list | Mapping) for item in value):
        yield name, f"{len(value)} entries"
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value))
    else:
        yield name, "-" if value is None else str(value)
