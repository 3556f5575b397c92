"""The listener as a whole: sockets, intake, and once a second the database."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from jobs.launch import request_changed
from jobs.services.notices import Notice, notices_add
from jobs.services.syslog_counts import syslog_counts_add
from netraven_site.config import Config
from netraven_site.syslog.directory import Directory
from netraven_site.syslog.intake import Intake
from netraven_site.syslog.sockets import Sockets

logger = structlog.get_logger(__name__)

#: How late a device that is new in the inventory is known here.
_DIRECTORY_SECONDS: Final = 60.0
_REPORT_SECONDS: Final = 60.0
_COUNT_SECONDS: Final = 5.0
#: Known from the start, so that the first of a kind is a rise for who watches.
_OUTCOMES: Final = (
    *("received", "limited", "unrelated", "unknown_source", "changes", "debounced", "dropped"),
    "refused_connections",
)


class Listener:
    """Serves until ``stop``; every message that is about a change has its device backed up."""

    def __init__(
        self, config: Config, *, say: Callable[[str], None], tick_seconds: float = 1.0
    ) -> None:
        """``say`` gets the line that it listens; notices are written every ``tick_seconds``."""
        self._config = config
        self._say = say
        self._stopping = asyncio.Event()
        #: One thread, so that Django has one connection.
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="syslog-database")
        self._loaded_at = self._reported_at = time.monotonic()
        self._reported: Counter[str] = Counter()
        #: What the database has of the counts, and since when.
        self._stored: Counter[str] | None = None
        self._stored_at = -math.inf
        self._is_down = False
        self._tick_seconds = tick_seconds

    async def run(self, address: str, port: int) -> None:
        """Listen until ``stop`` or a signal. Raises StackError, DatabaseError at the start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # A loop outside the main thread has no signals; its owner calls stop.
            with contextlib.suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, self.stop)
        try:
            directory = await loop.run_in_executor(self._database, Directory.load)
            await self._serve(directory, address, port)
        finally:
            await loop.run_in_executor(self._database, connections.close_all)
            self._database.shutdown()

    async def _serve(self, directory: Directory, address: str, port: int) -> None:
        intake = Intake(
            directory,
            per_second=self._config.syslog_messages_per_second,
            relays=self._config.syslog_relays,
        )
        sockets = Sockets(intake.take, intake.counts)
        bound = await sockets.open(address, port)
        self._say(f"listening for syslog on {address} port {bound}, UDP and TCP")
        try:
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._tick_seconds)
                await self._tick(intake)
        finally:
            await sockets.close()
            self._report(intake.counts)
            await asyncio.get_running_loop().run_in_executor(
                self._database, self._end, intake.counts
            )

    def stop(self) -> None:
        """End; what was taken is written first. For the thread of the loop."""
        self._stopping.set()

    async def _tick(self, intake: Intake) -> None:
        notices, loop = intake.taken(), asyncio.get_running_loop()
        try:
            joined = await loop.run_in_executor(self._database, _write, notices)
            intake.counts["debounced"] += joined
            if time.monotonic() - self._stored_at >= _COUNT_SECONDS:
                await loop.run_in_executor(self._database, self._store, intake.counts.copy())
            if time.monotonic() - self._loaded_at >= _DIRECTORY_SECONDS:
                intake.directory = await loop.run_in_executor(self._database, Directory.load)
                self._loaded_at = time.monotonic()
            self._is_down = False
        except (DatabaseError, InterfaceError) as error:
            intake.put_back(notices)
            if not self._is_down:
                reason = " ".join(str(error).split())
                logger.warning("database.down", postponed="changes", error=reason)
            self._is_down = True
        if time.monotonic() - self._reported_at >= _REPORT_SECONDS:
            self._report(intake.counts)

    def _store(self, counts: Counter[str]) -> None:
        """Add to the database what was counted since the last time. Raises DatabaseError."""
        since = dict.fromkeys(_OUTCOMES, 0) if self._stored is None else {}
        since |= counts - (self._stored or Counter())
        if since:
            syslog_counts_add(counts=since)
        self._stored, self._stored_at = counts, time.monotonic()

    def _end(self, counts: Counter[str]) -> None:
        try:
            self._store(counts)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("syslog.counts_lost", error=type(error).__name__)

    def _report(self, counts: Counter[str]) -> None:
        """Say what came since the last time, if anything did."""
        self._reported_at = time.monotonic()
        since = counts - self._reported
        self._reported = counts.copy()
        if since:
            logger.info("syslog.messages", **dict(sorted(since.items())))


def _write(notices: list[Notice]) -> int:
    """Have devices backed up; gives how many of them waited for that already."""
    close_old_connections()
    joined = notices_add(notices=notices).joined if notices else 0
    request_changed()
    return joined
