"""What the endpoints of one worker share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.access.guard import Access
from service.background.fair_threads import FairThreads
from service.background.kept import Kept
from service.challenge.challenge import Challenge
from service.drift.watch import Watch
from service.inference.admission import BodyBudget, Rates
from service.inference.batch import Result
from service.models.loader import Loaded
from service.models.versions import Versions
from service.observe.logs import RequestLog
from service.observe.metrics import Metrics
from service.observe.traces import Tracer
from service.reasons.layers import Layers
from service.reasons.training_images import FirstUse
from service.settings import Settings
from service.store.store import Store
from service.types import Limits


class Follower(Protocol):
    """Learns of each answer of each protocol, on the event loop, just before it is sent."""

    follows: bool  # whether it wants to learn of answers now

    def answered(
        self,
        request_id: bytes,
        caller: str,
        served: Loaded,
        result: Result,
        doubts: Sequence[Sequence[str]] | None,
    ) -> None:
        """Takes note of a request's images, within microseconds; ``doubts`` if it tells any."""


@dataclass(frozen=True, slots=True)
class Core:
    """The settings, the loaded versions, the threads for pictures, the figures and the log."""

    settings: Settings
    versions: Versions
    pictures: FairThreads
    metrics: Metrics
    bodies: BodyBudget
    limits: Limits  # how much one request for images or pictures may hold
    access: Access  # who may ask
    log: RequestLog
    tracer: Tracer | None  # exports the spans of sampled requests, if there is a collector
    training_images: FirstUse
    rates: Rates | None  # None if no caller has a rate
    evaluations: Kept[bytes]
    watch: Watch  # notices drift; one of the followers
    layers: Kept[Layers]  # by the hash of the version's file
    challenge: Challenge
    store: Store | None = None  # what is kept of use, if anything is
    followers: tuple[Follower, ...] = ()  # who learns of each answer, in this order
