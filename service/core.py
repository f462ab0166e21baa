"""What the endpoints of one worker share."""

from __future__ import annotations

from pathlib import Path

from service.access.guard import Access
from service.background.kept import Kept
from service.background.large_work import FairThreads, threads
from service.background.memory import Room, memory_limit
from service.background.threads import worker_threads
from service.challenge.challenge import Challenge
from service.drift.watch import Watch
from service.inference.admission import BodyBudget, Rates
from service.models.versions import Versions
from service.observe.logs import STDERR, RequestLog, configure_logs
from service.observe.metrics import Metrics
from service.observe.traces import Tracer
from service.reasons.layers import Layers
from service.reasons.training_images import TrainingImages
from service.settings import Settings
from service.store.capture import Capture
from service.store.store import store_of
from service.types import Limits

_MOST_EVALUATIONS = 64


class Core:
    """The settings, the loaded versions, the threads for pictures, the figures and the log."""

    def __init__(self, settings: Settings, shared: Path | None = None, version: str = "") -> None:
        """Puts them together; all workers share the folder ``shared``; spans name ``version``."""
        self.settings = settings
        as_json = configure_logs(settings.log_format, settings.log_level)
        self.log = RequestLog(as_json, settings.access_log)
        self.metrics = metrics = Metrics(shared)
        metrics.set("memory_limit_bytes", memory_limit())
        STDERR.dropped = lambda lines: metrics.count("log_lines_dropped", by=lines)
        self.tracer: Tracer | None = None  # exports spans of sampled requests to a collector
        if settings.otlp_endpoint:
            self.tracer = Tracer(settings.otlp_endpoint, settings.trace_share, version)
        self.versions = versions = Versions(settings, metrics, shared)
        self.store = store_of(settings, metrics)  # what is kept of use, if anything is
        self.capture: Capture | None = None
        if self.store is not None and settings.capture != "off":
            self.capture = Capture(self.store, settings, metrics)
        self.challenge = Challenge(versions, metrics, self.store)
        self.watch = Watch(lambda: versions.serving, metrics, self.store if self.capture else None)
        versions.verbs["drift"] = self.watch.view
        # Who learns of each answer of each protocol, in this order, just before it is sent.
        self.followers: tuple[Watch | Challenge | Capture, ...] = (self.watch, self.challenge)
        if self.capture is not None:
            self.followers += (self.capture,)
        # They rest less, since one picture takes longer than a piece of other work.
        self.pictures = FairThreads("picture", worker_threads(settings.workers), rest=0.5)
        self.bodies = BodyBudget(settings.max_waiting_bytes, versions.queue, threads, self.pictures)
        self.limits = Limits(  # how much one request for images or pictures may hold
            images=settings.max_images,
            body_bytes=settings.max_body_bytes,
            picture_pixels=settings.max_picture_pixels,
            picture_side=settings.max_picture_side,
            hold_pixels=Room(settings.max_picture_bytes).hold,
        )
        self.access = Access(settings, shared, metrics)  # who may ask
        has_rates = settings.rate > 0 or settings.keys is not None  # a key may have one of its own
        self.rates = Rates(settings.rate, shared) if has_rates else None
        self.evaluations = Kept[bytes](_MOST_EVALUATIONS)
        self.training_images = Kept[TrainingImages | None](1)
        self.layers = Kept[Layers](1)  # by the hash of the version's file
