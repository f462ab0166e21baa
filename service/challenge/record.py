"""What a challenge leaves in the store: counts, disagreements, and why the challenger failed."""

from time import time
from typing import Any

from sqlalchemy import Connection, Table, and_, func, select

from service.challenge.verdict import Compared, Tally
from service.models.repository import Challenger
from service.store.labels import labelled
from service.store.tables import CHALLENGES, DISAGREEMENTS, insert, keep_images

_MOST_KEPT = 10_000  # disagreements of two versions; further ones are only counted


def exchange(
    connection: Connection, champion: str, named: Challenger, news: list[Compared], failure: str
) -> str:
    """Adds what was compared, and why the challenger failed; returns why it is out, if it is."""
    pair = {"champion": champion, "challenger": named.version}
    news = [each for each in news if (each.champion, each.challenger) == (champion, named.version)]
    apart = [one for each in news for one in each.apart]
    images = sum(each.images for each in news)
    known = _row(connection, champion, named)[2]
    if images or (failure and not known):
        failed = {"failed": named.begun, "failure": failure} if failure and not known else {}
        row = {**pair, "images": images, "agreed": images - len(apart), **failed}
        added = {name: CHALLENGES.c[name] + row[name] for name in ("images", "agreed")}
        put = insert(connection, CHALLENGES).values(row)
        connection.execute(put.on_conflict_do_update(index_elements=[*pair], set_=added | failed))
    kept = select(func.count()).where(_of(DISAGREEMENTS, champion, named))
    if apart and connection.execute(kept).scalar_one() < _MOST_KEPT:
        ids = keep_images(connection, (pixels for pixels, _, _ in apart))
        rows = [
            {**pair, "image": name, "champion_digit": a, "challenger_digit": b, "seen_at": time()}
            for name, (_, a, b) in zip(ids, apart, strict=True)
        ]
        connection.execute(DISAGREEMENTS.insert(), rows)
    return known


def tally(connection: Connection, champion: str, named: Challenger) -> Tally:
    """Returns all that is known of the two versions; a disagreement counts once for each image."""
    known, each = labelled(connection), DISAGREEMENTS.c
    truth = dict(zip(known.ids, known.digits.tolist(), strict=True))
    query = select(each.image, each.champion_digit, each.challenger_digit).distinct()
    said = connection.execute(query.where(_of(DISAGREEMENTS, champion, named))).all()
    right = [(first == truth[i], second == truth[i]) for i, first, second in said if i in truth]
    wins, losses = right.count((False, True)), right.count((True, False))
    images, agreed, failure = _row(connection, champion, named)
    return Tally(images, agreed, len(right), wins, losses, failure)


def _row(connection: Connection, champion: str, named: Challenger) -> tuple[int, int, str]:
    row = connection.execute(select(CHALLENGES).where(_of(CHALLENGES, champion, named))).first()
    if row is None:
        return 0, 0, ""
    return row.images, row.agreed, row.failure if row.failed == named.begun else ""


def _of(table: Table, champion: str, named: Challenger) -> Any:
    return and_(table.c.champion == champion, table.c.challenger == named.version)
