"""Turns one part of the inputs into rows of the result, in the form of its file."""

import csv
import io
from collections import Counter
from typing import Any

import orjson

from service.classifier import Classifier
from service.score.inputs import Part, arrow
from service.score.reading import Chunk, read

COLUMNS = ("source", "index", "digit", "confidence", "doubts", "version", "error")
_SHORTEST = orjson.OPT_SERIALIZE_NUMPY

Row = tuple[Any, ...]


def score(part: Part, classifier: Classifier, form: str) -> bytes:
    """Returns a line of JSON with the part's counts, and its rows in the form of ``form``.

    Raises OSError if the part's file cannot be read.
    """
    rows = [row for chunk in read(part) for row in _rows(chunk, classifier)]
    digits = Counter(str(row[2]) for row in rows if row[6] is None)
    doubts = Counter(doubt for row in rows for doubt in row[4])
    counts = {
        "images": {"rows": len(rows), "errors": len(rows) - digits.total()},
        "digits": digits,
        "doubts": doubts,
    }
    return orjson.dumps(counts, option=orjson.OPT_APPEND_NEWLINE) + _encoded(rows, form)


def _rows(chunk: Chunk, classifier: Classifier) -> list[Row]:
    """Returns a row for each name; numbers read back to the float32 of the answer."""
    answered = list[Row]()
    if len(chunk.images):
        probabilities, doubts = classifier.answer(chunk.images, chunk.doubts)
        largest = orjson.loads(orjson.dumps(probabilities.T.copy().max(axis=0), option=_SHORTEST))
        digits = probabilities.argmax(axis=1).tolist()
        answered = list(zip(digits, largest, doubts, strict=True))
    version, found = classifier.version, iter(answered)
    if not chunk.errors:
        return [(*name, *next(found), version, None) for name in chunk.names]
    return [
        (*name, None, None, (), version, chunk.errors[position])
        if position in chunk.errors
        else (*name, *next(found), version, None)
        for position, name in enumerate(chunk.names)
    ]


def _encoded(rows: list[Row], form: str) -> bytes:
    rows = [(_text(row[0]), *row[1:]) for row in rows]
    if form == ".csv":
        text = io.StringIO()
        joined = ((*row[:4], ",".join(row[4]), *row[5:]) for row in rows)
        csv.writer(text, lineterminator="\n").writerows(joined)
        return text.getvalue().encode()
    if form != ".parquet":
        lines = (orjson.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows)
        return b"".join(line + b"\n" for line in lines)
    pa, parquet = arrow()
    buffer = io.BytesIO()
    parquet.write_table(pa.table(list(zip(*rows, strict=True)), schema=schema(pa)), buffer)
    return buffer.getvalue()


def _text(name: str) -> str:
    """Returns a file's name as text; other bytes than UTF-8 are escaped."""
    return name if name.isascii() else name.encode(errors="backslashreplace").decode()


def schema(pa: Any) -> Any:
    """Returns the columns of a result in Parquet."""
    text = pa.string()
    kinds = (text, pa.int64(), pa.int8(), pa.float32(), pa.list_(text), text, text)
    return pa.schema(list(zip(COLUMNS, kinds, strict=True)))
