"""Whose turn it is among several callers."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from service.background.fair_turns import FairTurns


def drained(turns: FairTurns[tuple[str, int]]) -> str:
    """The callers of all items, in the order of their turns; each item tells its work."""
    order = ""
    while turns:
        caller, work = turns.first()
        assert turns.take(work) == (caller, work)
        order += caller
    return order


def waiting(*items: tuple[str, int]) -> FairTurns[tuple[str, int]]:
    turns = FairTurns[tuple[str, int]]()
    for caller, work in items:
        turns.put(caller, (caller, work))
    return turns


def test_a_callers_own_items_keep_their_order() -> None:
    turns = FairTurns[int]()
    for number in range(1, 100):
        turns.put("a", number)
    turns.put("a", 0, first=True)
    assert [turns.take(1) for _ in range(100)] == list(range(100))
    assert not turns


def test_a_caller_of_little_comes_before_the_rest_of_a_caller_of_much() -> None:
    assert drained(waiting(*[("a", 100)] * 4, ("b", 1), ("b", 1))) == "abbaaa"


def test_turns_go_by_work_and_not_by_items() -> None:
    assert drained(waiting(*[("a", 30)] * 4, *[("b", 10)] * 12)) == "abbbabbbabbbabbb"


def test_a_caller_who_comes_later_neither_waits_for_the_past_nor_is_paid_for_it() -> None:
    turns = waiting(*[("a", 10)] * 20, *[("b", 10)] * 20)
    for _ in range(20):
        turns.take(10)
    for _ in range(10):
        turns.put("c", ("c", 10))
    assert Counter(drained(turns)[:15]) == Counter(a=5, b=5, c=5)


def test_a_caller_who_was_alone_owes_nothing_to_the_next() -> None:
    turns = waiting(*[("a", 10)] * 5)
    for _ in range(4):
        turns.take(10)
    for caller in "bbaa":
        turns.put(caller, (caller, 10))
    assert drained(turns) == "ababa"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), max_size=60))
def test_while_all_wait_nobody_is_ahead_by_more_than_one_item(items: list[tuple[str, int]]) -> None:
    turns, left = waiting(*items), Counter(caller for caller, _ in items)
    had = dict.fromkeys(left, 0)
    while turns and min(left.values()):
        caller, work = turns.first()
        turns.take(work)
        left[caller] -= 1
        had[caller] += work
        assert max(had.values()) - min(had.values()) <= 50


def test_thousands_who_come_once_neither_starve_one_nor_are_all_remembered() -> None:
    turns, had = waiting(*[("a", 1)] * 100), Counter[str]()
    for number in range(5000):
        turns.put(f"{number}", (f"{number}", 1))
        had[turns.take(1)[0]] += 1
    assert had["a"] >= 4
    assert len(turns._had) <= 1024
