"""How a worker ends: it takes no more, lets its sessions end for a while, hands back the rest.

Celery's own ways do not fit. Its warm shutdown waits for threads without an end, and acknowledges
nothing meanwhile, so tasks that finish then are run again; its soft shutdown always takes its full
time; its cold shutdown cannot stop threads at all. Here the event loop of the worker goes on until
the last task is done, and only then Celery is asked to end (docs/reliability.md).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import psutil
import structlog
from celery import bootsteps, platforms, signals
from celery.worker import state
from django.conf import settings
from django.db import DatabaseError, connection
from kombu.exceptions import MessageStateError

from jobs import leases
from jobs.broker import BROKER_DOWN
from jobs.sending import resend
from jobs.services.hand_back import claims_hand_back
from jobs.services.session_watch import sessions_overdue

logger = structlog.get_logger(__name__)

_STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT")
#: Tells a child of the prefork pool to hand back its device. TERM is what a time limit sends.
_CHILD_SIGNAL = signal.SIGUSR2
_POLL_SECONDS = 0.2
#: For handing back, after which the process ends, whatever still hangs.
_LAST_SECONDS = 4.0
_CHILDREN_SECONDS = 2.0


class Drain:
    """The end of one worker process. ``ask`` may be called from any thread and signal handler."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._signals = 0

    def start(self) -> None:
        """Be ready to be asked."""
        threading.Thread(target=self._run, name="drain", daemon=True).start()

    def ask(self, exit_code: int = 0) -> None:
        """Have the process end, with ``exit_code``; to ask again changes nothing."""
        self._asked.put(exit_code)

    def on_signal(self, number: int, frame: object) -> None:
        """End; a second signal ends it at once."""
        self._signals += 1
        self.ask()

    def _run(self) -> None:
        exit_code = self._asked.get()
        seconds = settings.NETRAVEN.drain_seconds
        _exit_after(seconds + _LAST_SECONDS)
        logger.info("worker.stopping", tasks=len(state.reserved_requests), seconds=seconds)
        if not self._all_end_within(seconds):
            self._hand_back()
            os._exit(exit_code)
        state.should_stop = exit_code  # type: ignore[assignment]  # the stubs know None only
        self._worker.consumer.hub.call_soon(_nothing)  # wakes the event loop

    def _all_end_within(self, seconds: float) -> bool:
        """Wait until nothing is under way. False when the time is up or somebody is in a hurry."""
        end = time.monotonic() + seconds
        while state.reserved_requests:
            hung = len(sessions_overdue())
            if self._signals > 1 or time.monotonic() >= end:
                return False
            if hung and hung >= len(state.reserved_requests):
                return False
            self._worker.consumer.hub.call_soon(self._stop_consuming)
            with suppress(Empty):
                self._asked.get(timeout=_POLL_SECONDS)
        return True

    def _stop_consuming(self) -> None:
        """Take no more messages. Said again and again, as a new connection would take some."""
        consumer = self._worker.consumer.task_consumer
        if consumer is None:
            return
        try:
            consumer.cancel()
        except self._worker.consumer.connection_errors:
            logger.info("broker.down")

    def _hand_back(self) -> None:
        _exit_after(_LAST_SECONDS)
        requests = list(state.requests.values())
        logger.warning("worker.handing_back", tasks=len(requests))
        _hand_back_devices()
        _end_children({request.worker_pid for request in requests} - {None, os.getpid()})
        errors = (MessageStateError, *self._worker.consumer.connection_errors)
        for request in requests:
            # As ``Request.reject``, but without the event loop, which may be gone.
            request.message.reject_log_error(logging.getLogger(__name__), errors, requeue=True)
        signals.worker_shutdown.send(sender=self._worker)


class DrainStep(bootsteps.StartStopStep):
    """Gives a worker its ``Drain``. A worker inside another process has none."""

    def start(self, worker: Any) -> None:
        """Celery has installed its own handlers just before."""
        global _drain
        if threading.current_thread() is not threading.main_thread():
            return  # the process, and its signals, are somebody else's
        _drain = Drain(worker)
        _drain.start()
        for name in _STOP_SIGNALS:
            platforms.signals[name] = _drain.on_signal

    def close(self, worker: Any) -> None:
        """The worker ends, maybe without a signal: it was asked to through the broker."""
        if _drain is not None:
            _drain.ask()


_drain: Drain | None = None


def recycle(reason: str) -> None:
    """Have this worker end, and its supervisor start another one."""
    if _drain is not None:
        logger.error("worker.recycled", reason=reason)
        _drain.ask(exit_code=1)


def listen_in_child() -> None:
    """Hand back the device of this child of a pool when its parent says so."""
    asked: SimpleQueue[int] = SimpleQueue()

    def run() -> None:
        asked.get()
        _exit_after(_LAST_SECONDS)
        _hand_back_devices(isolated=True)
        os._exit(0)

    threading.Thread(target=run, name="drain", daemon=True).start()
    signal.signal(_CHILD_SIGNAL, lambda number, frame: asked.put(number))


def _end_children(pids: Collection[int]) -> None:
    """Have the children of a pool that are at work hand back theirs."""
    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
            processes[-1].send_signal(_CHILD_SIGNAL)
    psutil.wait_procs(processes, timeout=_CHILDREN_SECONDS)


def _hand_back_devices(*, isolated: bool = False) -> None:
    """Devices of this process to PENDING. Without a database their leases run out."""
    try:
        results = claims_hand_back(claims=leases.close())
        if isolated:
            # Their parent puts back the messages of threads, but not those of children that ended.
            resend(results, isolated=True)
    except DatabaseError:
        logger.exception("worker.hand_back_failed")
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="devices", count=len(results))
    finally:
        connection.close()


def _exit_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


def _nothing() -> None:
    return
