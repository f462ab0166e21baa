"""Follows the champion's answers, and raises and ends alarms: a worker each, on its event loop.

An answer is only noted; every ``BLOCK`` of them are counted and tested together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import numpy as np

from service.drift.evidence import BLOCK, THRESHOLD, WINDOW, Evidence
from service.drift.reference import SLOTS, STRATA, SURE, Counts, Reference, reviewed, unsure
from service.inference.batch import BatchResult, Result
from service.models.loader import Loaded
from service.observe.logs import LOGGER
from service.observe.metric_table import DRIFTS
from service.observe.metrics import Metrics
from service.store.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

_EXAMPLES = 5
_LOOKED_AT = 4  # the images of every so many requests are looked at; all answers are counted
_ENDS = THRESHOLD / 2  # an alarm lasts until its score is below, so that it does not come and go
_PLOTTED = 120  # points of time whose scores are told; of more, every other one goes
_LEARN_S = 60.0  # how often the store is asked for labels, while there is traffic


class Watch:
    """One worker's window on the champion's answers, with its alarms by kind."""

    follows = True

    def __init__(
        self, champion: Callable[[], Loaded | None], metrics: Metrics, store: Store | None = None
    ) -> None:
        self._champion, self._metrics, self.store = champion, metrics, store
        self._served: Loaded | None = None
        self._alarms: dict[str, dict[str, Any]] = {}
        self._learnt = -_LEARN_S
        self._begin_anew(None)

    def _begin_anew(self, reference: Reference | None) -> None:
        self._evidence = Evidence(reference) if reference else None
        self._noted: list[tuple[bytes, BatchResult, slice]] = []
        self._rows = 0
        self._blocks: deque[Counts] = deque()
        self._window: Counts = np.zeros(SLOTS)
        self._scores: list[tuple[float, ...]] = []
        self._apart_s = 1.0
        self._labelled = np.zeros((len(STRATA) + 1, 2))

    def answered(
        self, request_id: bytes, caller: str, served: Loaded, result: Result, doubts: object
    ) -> None:
        """Takes note of a request's images, if the champion answered and has a reference."""
        if served is not self._served:
            if served is not self._champion():
                return
            self._take_up(served)
        if self._evidence is None:
            return
        part = result.part
        self._noted.append((request_id, result.batch, part))
        self._rows += part.stop - part.start
        if self._rows >= BLOCK:
            self._look(self._evidence)

    def view(self) -> dict[str, Any]:
        """Returns what this worker knows of the champion's answers, for :meth:`joined`."""
        champion = self._champion()
        if champion is not None and champion is not self._served:
            self._take_up(champion)
        told = {"window": self._window.tolist(), "alarms": [*self._alarms.values()]}
        return {"version": champion and champion.version, "scores": self._scores, **told}

    def joined(self, views: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """Returns the answer of ``GET /drift`` from the views of all workers, this one's first.

        None if the champion has no reference.
        """
        if (evidence := self._evidence) is None:
            return None
        views = [view for view in views if view["version"] == views[0]["version"]]
        window = np.sum([view["window"] for view in views], axis=0)
        of_all = sorted((a for view in views for a in view["alarms"]), key=lambda a: a["score"])
        alarms = {alarm["kind"]: alarm for alarm in of_all}  # the strongest of each kind
        answers = int(window[:SURE].sum())
        few = all(sum(view["window"][:SURE]) < BLOCK for view in views)
        return {
            "state": "drift" if alarms else "too few" if few else "steady",
            "answers": answers,
            "alarms": sorted(alarms.values(), key=lambda alarm: -alarm["score"]),
            "scores": sorted([*point] for view in views for point in view["scores"]),
            "threshold": THRESHOLD,
            "shares": evidence.shares(window).tolist() if answers else [],
            "accuracy": evidence.reference.accuracy(window, self._labelled),
        }

    def learn(self, connection: Connection) -> None:
        """Takes up reviewers' labels from the store, and tells the accuracy; on any thread."""
        served = self._served
        labelled = reviewed(connection, served.version) if served else None
        if labelled is not None and served is self._served:
            self._labelled = labelled
            self._tell()

    def _tell(self) -> None:
        known = self._evidence
        told = known.reference.accuracy(self._window, self._labelled) if known else {}
        for bound in ("estimate", "low", "high"):
            value = told.get(bound)  # a gauge that is 0 counts as never set
            self._metrics.set("accuracy", 0.0 if value is None else max(value, 1e-6), bound)

    def _take_up(self, champion: Loaded) -> None:
        """Starts anew with another champion, whose answers have a reference of their own."""
        for kind in list(self._alarms):
            self._end(kind, f"version {champion.version} answers now")
        self._served = champion
        self._begin_anew(Reference.from_card(champion.card))
        for kind in DRIFTS:
            self._metrics.set("drift_score", 0.0, kind)
        self._tell()

    def _look(self, evidence: Evidence) -> None:
        """Counts the noted answers, of one huge request the last ones, and tests the window."""
        noted, self._noted, self._rows = self._noted, [], 0
        rows = np.concatenate([batch.probabilities[part] for _, batch, part in noted])[-WINDOW:]
        some = [batch.images[part] for _, batch, part in noted[::_LOOKED_AT]]
        digits, how = unsure(rows)
        block = evidence.reference.counted(digits, how, np.concatenate(some)[-BLOCK:])
        self._blocks.append(block)
        self._window = window = self._window + block
        while window[:SURE].sum() > WINDOW:
            window -= self._blocks.popleft()
        scores = evidence.scores(window)
        self._plot(time(), *scores)
        for kind, score in zip(DRIFTS, scores, strict=True):
            self._metrics.set("drift_score", score, kind)
            alarm = self._alarms.get(kind)
            if alarm is not None:
                alarm["score"] = score
                if score < _ENDS:
                    self._end(kind, "the answers are as before")
            elif score >= THRESHOLD:
                order = evidence.telling(kind, window, digits, how)
                ids = [name for name, _, part in noted for _ in range(part.stop - part.start)]
                self._begin(kind, score, [ids[-len(how) :][index].decode() for index in order])
        if monotonic() - self._learnt > _LEARN_S:
            self._learnt = monotonic()
            self._tell()
            if self.store is not None:
                self.store.later(self.learn)

    def _plot(self, *point: float) -> None:
        """Keeps the time and the scores, in the place of a point that is too near."""
        if len(self._scores) > 1 and point[0] - self._scores[-2][0] < self._apart_s:
            self._scores.pop()
        self._scores.append(point)
        if len(self._scores) > _PLOTTED:
            del self._scores[1::2]
            self._apart_s *= 2

    def _begin(self, kind: str, score: float, ids: list[str]) -> None:
        when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        examples = list(dict.fromkeys(ids))[:_EXAMPLES]
        told = {"score": score, "threshold": THRESHOLD, "examples": examples}
        self._alarms[kind] = {"kind": kind, "when": when, **told}
        self._metrics.count("drift_alarms", kind)
        LOGGER.warning("drift of %s: answers unlike those to held-out digits", kind, extra=told)

    def _end(self, kind: str, reason: str) -> None:
        since = self._alarms.pop(kind)["when"]
        LOGGER.info("drift of %s has ended: %s", kind, reason, extra={"since": since})
