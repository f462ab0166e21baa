"""A robot hand: draws the ten digits on the page's pad with mouse, finger or pen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import cos, pi, radians, sin

from playwright.sync_api import FloatRect, Locator, Page, expect

Point = tuple[float, float]
Stroke = list[Point]
Style = Callable[[float, float], Point]
"""Moves a point of the unit square, as one writer's hand does."""


def arc(centre: Point, radii: Point, start: float, end: float) -> Stroke:
    """Returns an arc of an ellipse between two angles, in degrees clockwise from the right."""
    (x, y), (wide, high) = centre, radii
    angles = [radians(start + (end - start) * step / 12) for step in range(13)]
    return [(x + wide * cos(angle), y + high * sin(angle)) for angle in angles]


DIGITS: dict[int, list[Stroke]] = {
    0: [arc((0.5, 0.5), (0.18, 0.3), -90, -450)],
    1: [[(0.53, 0.2), (0.48, 0.8)]],
    2: [[*arc((0.49, 0.36), (0.17, 0.16), 190, 385), (0.32, 0.79), (0.7, 0.79)]],
    3: [[*arc((0.47, 0.34), (0.16, 0.14), 200, 450), *arc((0.47, 0.65), (0.19, 0.17), 270, 520)]],
    4: [[(0.36, 0.2), (0.33, 0.54), (0.7, 0.54)], [(0.66, 0.22), (0.62, 0.82)]],
    5: [
        [(0.4, 0.22), (0.37, 0.47), *arc((0.47, 0.62), (0.18, 0.18), 240, 510)],
        [(0.4, 0.22), (0.68, 0.2)],
    ],
    6: [[(0.6, 0.18), (0.46, 0.32), (0.37, 0.5), *arc((0.5, 0.64), (0.15, 0.16), 180, -180)]],
    7: [[(0.3, 0.24), (0.5, 0.23), (0.7, 0.22), (0.6, 0.46), (0.5, 0.66), (0.45, 0.82)]],
    8: [[(0.5 + 0.16 * sin(2 * t), 0.5 - 0.31 * cos(t)) for t in (pi * n / 14 for n in range(29))]],
    9: [[*arc((0.5, 0.36), (0.15, 0.16), 0, -360), (0.64, 0.5), (0.62, 0.66), (0.58, 0.82)]],
}

OTHERWISE: dict[int, list[Stroke]] = {
    0: [arc((0.5, 0.5), (0.2, 0.3), -70, -400)],
    1: [[(0.38, 0.36), (0.52, 0.2), (0.52, 0.8)], [(0.36, 0.8), (0.68, 0.8)]],
    2: [
        [(0.33, 0.3), (0.4, 0.22), (0.58, 0.2), (0.67, 0.3), (0.62, 0.44), (0.34, 0.8), (0.7, 0.8)]
    ],
    3: [[(0.32, 0.22), (0.66, 0.22), (0.48, 0.44), *arc((0.47, 0.63), (0.19, 0.18), -80, 150)]],
    4: [[(0.4, 0.2), (0.3, 0.56)], [(0.3, 0.56), (0.74, 0.56)], [(0.62, 0.2), (0.62, 0.82)]],
    5: [
        [(0.38, 0.2), (0.7, 0.2)],
        [(0.38, 0.2), (0.37, 0.46)],
        arc((0.46, 0.62), (0.2, 0.18), 235, 500),
    ],
    6: [[(0.62, 0.2), (0.46, 0.34), (0.36, 0.56), *arc((0.5, 0.65), (0.15, 0.15), 190, -170)]],
    7: [[(0.3, 0.22), (0.7, 0.22), (0.45, 0.82)], [(0.4, 0.52), (0.68, 0.52)]],
    8: [arc((0.5, 0.34), (0.13, 0.14), 90, 450), arc((0.5, 0.65), (0.17, 0.17), -90, 270)],
    9: [arc((0.48, 0.36), (0.15, 0.16), 0, 360), [(0.63, 0.22), (0.61, 0.82)]],
}
"""The same digits with other strokes: a bar through the 7, a base under the 1."""


def neat(x: float, y: float) -> Point:
    return x, y


def slanted(x: float, y: float) -> Point:
    return x + 0.25 * (0.5 - y), y


def small(x: float, y: float) -> Point:
    """In a corner of the pad, with strokes as thick as before."""
    return 0.05 + 0.6 * x, 0.02 + 0.6 * y


def tiny(x: float, y: float) -> Point:
    """So small in a corner that the strokes merge."""
    return 0.8 + 0.15 * x, 0.8 + 0.15 * y


def huge(x: float, y: float) -> Point:
    return 0.5 + 1.4 * (x - 0.5), 0.5 + 1.4 * (y - 0.5)


def draw(page: Page, strokes: list[Stroke], style: Style = neat) -> None:
    """Draws with the mouse."""
    for stroke in strokes:
        for number, (x, y) in enumerate(places(page, stroke, style)):
            page.mouse.move(x, y)
            if number == 0:
                page.mouse.down()
        page.mouse.up()


def touch(page: Page, strokes: list[Stroke], style: Style = neat) -> None:
    """Draws with a finger, through the browser's input pipeline."""
    session = page.context.new_cdp_session(page)

    def send(kind: str, *points: Point) -> None:
        at = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    for stroke in strokes:
        points = places(page, stroke, style)
        send("touchStart", points[0])
        for (x, y), (next_x, next_y) in pairwise(points):
            send("touchMove", ((x + next_x) / 2, (y + next_y) / 2))
            send("touchMove", (next_x, next_y))
        send("touchEnd")
    session.detach()


def write(page: Page, strokes: list[Stroke], style: Style = neat) -> None:
    """Draws with a pen under rising pressure."""
    session = page.context.new_cdp_session(page)

    def send(kind: str, at: Point, force: float = 0.0) -> None:
        pen = {"pointerType": "pen", "force": force, "button": "left", "buttons": 1}
        place = {"type": kind, "x": at[0], "y": at[1], "clickCount": 1}
        session.send("Input.dispatchMouseEvent", place | pen)

    for stroke in strokes:
        points = places(page, stroke, style)
        for number, at in enumerate(points):
            force = 0.2 + 0.6 * number / len(points)
            send("mouseMoved" if number else "mousePressed", at, force)
        send("mouseReleased", points[-1])
    session.detach()


def box_of(element: Locator) -> FloatRect:
    """Returns the place of a visible element on the screen, in CSS pixels."""
    box = element.bounding_box()
    assert box is not None
    return box


def places(page: Page, stroke: Stroke, style: Style) -> list[Point]:
    """Returns the points of a stroke on the screen, in CSS pixels."""
    pad = box_of(page.locator("#canvas"))
    moved = [style(*point) for point in stroke]
    return [(pad["x"] + x * pad["width"], pad["y"] + y * pad["height"]) for x, y in moved]


def answer(page: Page) -> str:
    """Returns what the page speaks once the pen rests."""
    speech = page.locator("#speech")
    expect(speech).not_to_be_empty()
    return speech.inner_text()


def highest_bar(page: Page) -> int:
    """Returns the digit with the highest bar, measured on the screen."""
    heights: list[float] = page.locator("#bars .fill").evaluate_all(
        # allSettled, since a later answer cancels the animation of an earlier one.
        "fills => Promise.all(fills.map(fill => Promise.allSettled("
        "fill.getAnimations().map(animation => animation.finished))"
        ".then(() => fill.getBoundingClientRect().height)))"
    )
    assert len(heights) == 10
    return heights.index(max(heights))
