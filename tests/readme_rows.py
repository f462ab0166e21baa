"""Writes the README's figures of the champion from its card: ``python -m tests.readme_rows``.

``tests/test_readme.py`` holds the README to what this gives, so that it cannot go stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.models.repository import NAME, Repository
from training.measure.label_errors import LABELS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- of the champion's card: python -m tests.readme_rows -->\n", "<!-- end -->\n"
PLACE = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
PICTURES = (
    *("robustness", "reliability_diagram", "training_curve", "confusion_matrix"),
    "worst_mistakes",
)
HOW = """\
Every figure is of the file that serves, through ONNX Runtime. What was done to the digits, the six
fonts held out and the kinds of non-digits (1,000 images each) are the functions of
`training/robustness/`; `models show N` prints the figures of any version. Letters that are written
like a digit (b B D g I l o O q s S z Z) are no non-digits: nobody could tell. AUROC: digits against
this kind, by confidence. The service looks at the ink as well: in any doubt is what it answers with
one of its `doubts`."""


def rows() -> str:
    """What stands in the README between the two marks, these included."""
    repository = Repository(ROOT / "models")
    version = repository.champion()
    card = repository.card(version)
    lines: list[str] = []
    if "robustness" in card:
        lines = [*_accuracies(card, version), "", *_doubt(card["doubt"]), "", HOW]
    folder = Path("models") / NAME / str(version)
    shown = [name for name in PICTURES if (ROOT / folder / f"{name}.png").is_file()]
    lines += [
        "",
        *(f'<img alt="{n.replace("_", " ")}" src="{folder / n}.png" width="49%">' for n in shown),
    ]
    return BEGIN + "\n".join(lines).strip("\n") + "\n" + END


def _accuracies(card: Mapping[str, Any], version: int) -> Iterator[str]:
    test = card["test"]
    yield f"| version {version} on all {test['count']:,} test images | accuracy |"
    yield "| --- | ---: |"
    yield f"| as they are | {_percent(test['accuracy'])} |"
    known = test["accuracy_without_label_errors"]
    yield f"| without the {len(LABELS)} whose labels are wrong | {_percent(known)} |"
    for name, accuracy in card["robustness"].items():
        yield f"| {name} | {_percent(accuracy)} |"


def _doubt(doubt: Mapping[str, Any]) -> Iterator[str]:
    point, passed = doubt["threshold"], _percent(doubt["digits"]["pass"])
    count = doubt["chosen_on"]["images"]
    yield f"An answer is in doubt, `not a digit`, where its confidence is below {point}: chosen on"
    yield f"{count:,} training images held out. {passed} of the test images pass."
    yield ""
    yield "| no digits | trained on | AUROC | caught | in any doubt |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for name, kind in doubt["kinds"].items():
        trained = "yes" if kind["trained"] else "no"
        caught, doubted = _percent(kind["caught"]), _percent(kind["doubted"])
        yield f"| {name} | {trained} | {kind['auroc']:.4f} | {caught} | {doubted} |"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def main() -> None:
    """Writes the figures into the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(PLACE.sub(lambda _: rows(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
