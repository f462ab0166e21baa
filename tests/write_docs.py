"""Writes the generated parts of the documentation: ``python -m tests.write_docs``.

They are the champion's figures, which come from its card; the alerts; the settings, which come from
``service.settings``; the layers, which come from ``pyproject.toml``; and the map of the files,
which comes from their docstrings. ``tests/test_docs.py`` fails if a document differs.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from service.models.repository import NAME, Repository
from service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
PLOTS = (*("training_curve", "confusion_matrix", "worst_mistakes"),)
NOTES = """\
`models show N` prints these figures for any version. Each kind of damage is a function in
`training/measure/robustness/`, applied to all test images; the printed digits are in six fonts
that training left out. Each kind of non-digit has 1,000 images; "trained on" says whether the
network learnt from images of that kind. Letters that look like a digit (b B D g I l o O q s S z Z)
belong to no kind. AUROC is that of the confidence, between the test images and the kind. "Caught"
is the share below the threshold. The service looks at the ink as well: "in any doubt" is the share
that it answers with at least one doubt."""
_PART = re.compile(
    r"(<!-- ([\w ]+): python -m tests\.write_docs -->\n).*?(<!-- end -->)", re.DOTALL
)


def main() -> None:
    """Writes the generated parts into their documents."""
    for path in DOCUMENTS:
        path.write_text(with_generated_parts(path.read_text(encoding="utf-8")), encoding="utf-8")


def with_generated_parts(text: str) -> str:
    """Returns a document with the text between its markers replaced."""
    return _PART.sub(lambda found: f"{found[1]}{_generated(found[2])}\n{found[3]}", text)


def _generated(name: str) -> str:
    makers = {"alerts": alerts, "champion": champion, "layers": layers, "settings": settings}
    return makers[name]() if name in makers else file_map(ROOT / name)


def champion() -> str:
    """Returns the figures of the champion's card as tables, and its plots."""
    repository = Repository(ROOT / "models")
    version = repository.champion()
    card = repository.card(version)
    lines: list[str] = []
    if "robustness" in card:
        lines = [*_accuracies(card, version), "", *_doubt(card["doubt"]), "", NOTES, ""]
    folder = Path("models") / NAME / str(version)
    shown = [name for name in PLOTS if (ROOT / folder / f"{name}.png").is_file()]
    lines += [
        f'<img alt="{name.replace("_", " ")}" src="../{folder / name}.png" width="49%">'
        for name in shown
    ]
    return "\n".join(lines)


def _accuracies(card: Mapping[str, Any], version: int) -> Iterator[str]:
    test = card["test"]
    yield f"| version {version} on all {test['count']:,} test images | accuracy |"
    yield "| --- | ---: |"
    yield f"| unchanged | {_percent(test['accuracy'])} |"
    for name, accuracy in card["robustness"].items():
        yield f"| {name} | {_percent(accuracy)} |"


def _doubt(doubt: Mapping[str, Any]) -> Iterator[str]:
    threshold, passed = doubt["threshold"], _percent(doubt["digits"]["pass"])
    count = doubt["chosen_on"]["images"]
    yield f"The doubt `not a digit` means that the confidence is below {threshold}. That threshold"
    yield f"was chosen on {count:,} training images held out; {passed} of the test images pass it."
    yield ""
    yield "| no digits | trained on | AUROC | caught | in any doubt |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for name, kind in doubt["kinds"].items():
        trained = "yes" if kind["trained"] else "no"
        caught, doubted = _percent(kind["caught"]), _percent(kind["doubted"])
        yield f"| {name} | {trained} | {kind['auroc']:.4f} | {caught} | {doubted} |"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def settings() -> str:
    """Returns a table of the service's settings, with their defaults and descriptions."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, bool):
            default = "on" if default else "off"
        elif isinstance(default, Path) and default.is_absolute():
            default = default.relative_to(ROOT)
        elif default in (None, ()):
            default = "not set"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def alerts() -> str:
    """Returns a table of the alerts, with their urgency and what to do."""
    path = ROOT / "deploy/helm/mnist-serve/files/alerts.yaml"
    lines = ["| alert | urgency | what to do |", "| --- | --- | --- |"]
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                urgency, action = rule["labels"]["severity"], rule["annotations"]["action"]
                lines.append(f"| `{rule['alert']}` | {urgency} | {action} |")
    return "\n".join(lines)


def layers() -> str:
    """Returns the layers of each package, from the top down, as import-linter checks them."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    lines = ["```text"]
    for contract in tool.get("importlinter", {}).get("contracts", ()):
        if contract["type"] == "layers":
            (package,) = contract["containers"]
            first, *rest = [re.sub(r" ?[|:] ", ", ", layer) for layer in contract["layers"]]
            lines += [f"{package:10}{first}", *(f"{'':10}{layer}" for layer in rest), ""]
    return "\n".join([*lines, "```"]).replace("\n\n```", "\n```")


def file_map(package: Path) -> str:
    """Returns a list of the package's folders and files, each with the start of its docstring."""
    lines = []
    for folder in sorted({path.parent for path in package.rglob("*.py")}):
        files = sorted(folder.glob("*.py"), key=lambda path: path.name.lstrip("_"))
        depth = "  " * len(folder.relative_to(package).parts)
        lines.append(f"{depth}- `{folder.relative_to(ROOT)}/`: {_purpose(folder / '__init__.py')}")
        lines += [
            f"{depth}  - `{path.name}`: {_purpose(path)}"
            for path in files
            if path.name != "__init__.py"
        ]
    return "\n".join(lines)


def _purpose(path: Path) -> str:
    """Returns the first sentence of the docstring of the file at ``path``, as Markdown."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=\.)\s(?=[A-Z`])", paragraph)[0].rstrip(".:")
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", sentence.replace("``", "`"))


if __name__ == "__main__":
    main()
