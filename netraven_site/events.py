"""What workers tell Flower, in fewer messages."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.worker.consumer.events import Events

#: How late Flower may show what a worker does.
SECONDS = 1.0


class GatheredEvents(bootsteps.StartStopStep):
    """Sends the events of tasks once a second, all in one message.

    Celery gathers them as well, but sends what it has in each turn of its loop: a message for
    almost every event, which took 7 % of a worker's CPU.
    """

    requires = (Events,)
    _timer: Any = None

    def start(self, consumer: Any) -> None:
        """Celery has made the dispatcher of this connection just before."""
        if consumer.hub is None:
            return  # without a loop each event is sent by itself
        consumer.event_dispatcher.on_send_buffered = None
        self._timer = consumer.hub.call_repeatedly(SECONDS, consumer._flush_events)

    def stop(self, consumer: Any) -> None:
        """The connection is gone, or the worker ends; another start makes another timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
