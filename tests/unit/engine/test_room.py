"""Memory for long answers: who waits for it, and that one session always goes on."""

from __future__ import annotations

import threading

from backups.engine.netmiko_collector.room import Place, Room

AT_ONCE = 0.0


def room() -> Room:
    return Room(100, own=10)


def test_what_is_its_own_is_never_waited_for() -> None:
    shared = room()
    first = Place(shared)
    assert first.hold(110, AT_ONCE)
    assert all(Place(shared).hold(10, AT_ONCE) for _ in range(1000))


def test_beyond_it_all_share_one_room() -> None:
    shared = room()
    first, second, third = Place(shared), Place(shared), Place(shared)
    assert first.hold(60, AT_ONCE)
    assert second.hold(60, AT_ONCE)
    assert not third.hold(11, AT_ONCE)
    first.leave()
    assert third.hold(60, AT_ONCE)


def test_the_first_one_never_waits() -> None:
    shared = room()
    first, second = Place(shared), Place(shared)
    assert first.hold(11, AT_ONCE)
    assert second.hold(109, AT_ONCE)
    assert not second.hold(111, AT_ONCE)
    assert first.hold(10_000, AT_ONCE)
    first.leave()
    assert second.hold(10_000, AT_ONCE)


def test_one_that_waits_goes_on_when_another_leaves() -> None:
    shared = room()
    first, second = Place(shared), Place(shared)
    assert first.hold(110, AT_ONCE)
    held: list[bool] = []
    thread = threading.Thread(target=lambda: held.append(second.hold(50, 30.0)))
    thread.start()
    first.leave()
    thread.join(20)
    assert held == [True]


def test_leaving_twice_is_no_trouble() -> None:
    shared = room()
    place = Place(shared)
    place.leave()
    assert place.hold(60, AT_ONCE)
    place.leave()
    place.leave()
    assert Place(shared).hold(110, AT_ONCE)
