"""What the endpoints of one worker share."""

from __future__ import annotations

from dataclasses import dataclass

from service.access.guard import Access
from service.background.fair_threads import FairThreads
from service.inference.admission import BodyBudget
from service.models.versions import Versions
from service.observe.logs import AccessLog
from service.observe.metrics import Metrics
from service.settings import Settings
from service.types import Limits


@dataclass(frozen=True, slots=True)
class Core:
    """The settings, the loaded versions, the threads for pictures, the figures and the log."""

    settings: Settings
    versions: Versions
    pictures: FairThreads
    metrics: Metrics
    bodies: BodyBudget
    limits: Limits
    """How much one request for images or pictures may hold."""
    access_log: AccessLog | None
    access: Access
    """Who may ask."""
