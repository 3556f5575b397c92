"""What workers tell Flower: gathered, and nothing lost."""

from __future__ import annotations

import contextlib
from functools import partial
from types import SimpleNamespace
from typing import Any

from kombu import Consumer
from kombu.asynchronous import Hub

from netraven_site.celery import app
from netraven_site.events import GatheredEvents
from tests.support.waiting import wait_for

EVENTS = 5


def listen(connection: Any) -> None:
    """Take what has come, if anything has."""
    with contextlib.suppress(TimeoutError):
        connection.drain_events(timeout=0.1)


def test_events_wait_for_each_other_and_all_of_them_come() -> None:
    seen: list[str] = []
    published: list[bool] = []
    hub = Hub()
    with app.connection_for_write() as writing, app.connection_for_read() as reading:
        dispatcher = app.events.Dispatcher(writing, buffer_group=["task"], enabled=True)
        dispatcher.on_send_buffered = dispatcher.flush  # as a worker does, a little later

        def flush() -> None:
            published.append(True)
            dispatcher.flush()

        consumer = SimpleNamespace(hub=hub, event_dispatcher=dispatcher, _flush_events=flush)
        handlers = {"*": lambda event: seen.append(event["uuid"])}
        receiver = app.events.Receiver(reading, handlers=handlers, app=app)
        channel = reading.default_channel
        (ear,) = receiver.get_consumers(partial(Consumer, channel), channel)
        step = GatheredEvents(consumer)
        step.start(consumer)
        with ear:
            listen(reading)
            for number in range(EVENTS):
                dispatcher.send("task-started", uuid=str(number))
            listen(reading)
            assert seen == []

            def all_came() -> bool:
                hub.fire_timers()
                listen(reading)
                return len(seen) == EVENTS

            wait_for(all_came, "the events")
        step.stop(consumer)
    assert published
