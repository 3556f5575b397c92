"""Searching the newest configurations of all devices."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import psycopg
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Length

from backups.engine.search import (
    MOST_LINES,
    FoundLine,
    FoundLines,
    LinePattern,
    compile_pattern,
    unpack,
    unpacker,
)
from backups.models import CurrentText, Snapshot
from backups.selectors.device_filter import DeviceFilter, devices_filtered
from inventory.models import Device

#: Compressed bytes that one thread gets at a time; a few of them are in memory at once.
_BATCH_BYTES = 1024 * 1024
_BATCH_DEVICES = 200


class SearchTimedOut(Exception):
    """The time for a search is over; what was found so far has been given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for, and where."""

    #: In the syntax of RE2; see ``backups.engine.search.compile_pattern``.
    pattern: str
    ignore_case: bool = False
    #: Whether ``pattern`` is plain text.
    literal: bool = False
    #: Whether the devices without such a line are wanted.
    missing: bool = False
    #: Lines shown before and after each found one.
    context: int = 0
    #: Lines shown of one device; None = all that match.
    most_lines: int | None = MOST_LINES
    devices: DeviceFilter = field(default_factory=DeviceFilter)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDevice:
    """A device whose newest configuration is what was searched for."""

    device_id: int
    hostname: str
    snapshot_id: int
    #: When the configuration was first read, UTC.
    collected_at: datetime
    #: The first of the lines that match; empty when devices without any were searched for.
    matches: tuple[FoundLine, ...]
    #: Whether the device has more such lines.
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """A page of what was found, by hostname."""

    devices: tuple[FoundDevice, ...]
    page: int
    size: int
    #: Of all devices that were found; None as long as the search has not come to its end.
    count: int | None
    has_next: bool
    #: False when the answer may lack devices; ``note`` says why in one line.
    complete: bool
    note: str


@dataclass(frozen=True, slots=True)
class _Text:
    """A packed text and whose it is."""

    device_id: int
    hostname: str
    snapshot_id: int
    collected_at: datetime
    packed: bytes


def config_search(
    *,
    search: Search,
    scope: QuerySet[Device] | None = None,
    after: str = "",
    seconds: float | None = None,
) -> Iterator[FoundDevice]:
    """The active devices of ``scope`` that are found, by hostname, as they are found.

    ``after`` leaves out hostnames up to that one. Devices without a stored configuration are not
    searched. Raises PatternError at once, SearchTimedOut after ``seconds`` (None = never).
    """
    pattern = _compiled(search)
    return _shown(_hits(pattern, search, scope, after, seconds), pattern, search)


def config_search_page(
    *,
    search: Search,
    page: int = 1,
    size: int = 50,
    after: str = "",
    with_count: bool = False,
    seconds: float | None = None,
    scope: QuerySet[Device] | None = None,
) -> SearchPage:
    """The page with this number, from 1, of ``size`` devices.

    The search ends when the page is full, unless ``with_count``. ``after`` is the last hostname of
    the page before, and saves searching the devices up to it again. Raises PatternError.
    """
    pattern = _compiled(search)
    shown: list[FoundDevice] = []
    before = (page - 1) * size
    total = before if after else 0
    note = ""
    with closing(_hits(pattern, search, scope, after, seconds)) as hits:
        try:
            for text in hits:
                if total >= before and len(shown) < size:
                    shown.append(_found(text, pattern, search))
                total += 1
                if total > before + size and not with_count:
                    break
            else:
                with_count = True
        except SearchTimedOut as error:
            with_count, note = False, str(error)
    note = note or search_note(search=search, scope=scope)
    return SearchPage(
        devices=tuple(shown),
        page=page,
        size=size,
        count=total if with_count else None,
        has_next=total > before + size,
        complete=not note,
        note=note,
    )


def search_note(*, search: Search, scope: QuerySet[Device] | None = None) -> str:
    """What an answer may lack although nothing stopped the search, in one line; empty for nothing.

    That is devices whose stored configuration is not there to be searched yet.
    """
    devices = devices_filtered(device_filter=search.devices, scope=scope)
    snapshots = Snapshot.objects.filter(device=OuterRef("pk"))
    count = devices.filter(Exists(snapshots), current_text__isnull=True).count()
    if not count:
        return ""
    return f"{count} devices were left out: their newest text is not indexed yet, or lost"


def _compiled(search: Search) -> LinePattern:
    return compile_pattern(search.pattern, ignore_case=search.ignore_case, literal=search.literal)


def _shown(hits: Iterator[_Text], pattern: LinePattern, search: Search) -> Iterator[FoundDevice]:
    for text in hits:
        yield _found(text, pattern, search)


def _found(text: _Text, pattern: LinePattern, search: Search) -> FoundDevice:
    lines = FoundLines()
    if not search.missing:
        lines = pattern.find(unpack(text.packed), context=search.context, limit=search.most_lines)
    return FoundDevice(
        device_id=text.device_id,
        hostname=text.hostname,
        snapshot_id=text.snapshot_id,
        collected_at=text.collected_at,
        matches=lines.lines,
        more=lines.more,
    )


def _hits(
    pattern: LinePattern,
    search: Search,
    scope: QuerySet[Device] | None,
    after: str,
    seconds: float | None,
) -> Generator[_Text]:
    """The texts that are searched for, by hostname."""
    deadline = None if seconds is None else time.monotonic() + seconds
    with closing(_answers(pattern, _batches(search, scope, after), deadline)) as answers:
        for text, matches in answers:
            if matches is None:
                raise SearchTimedOut(
                    f"the search was stopped after {seconds:g} s, at {text.hostname}; "
                    "narrow it by tag, platform or hostname"
                )
            if matches != search.missing:
                yield text


def _answers(
    pattern: LinePattern, batches: Iterator[list[_Text]], deadline: float | None
) -> Generator[tuple[_Text, bool | None]]:
    """Each text and whether a line of it matches; None when the time was over before.

    Unpacking and RE2 release the interpreter, so that a thread per core scans while this one
    fetches what comes next.
    """
    cores = os.cpu_count() or 1
    threads = ThreadPoolExecutor(max_workers=cores, thread_name_prefix="search")
    waiting: deque[tuple[list[_Text], Future[list[bool | None]]]] = deque()
    try:
        while True:
            for batch in islice(batches, 2 * cores - len(waiting)):
                waiting.append((batch, threads.submit(_scan, batch, pattern, deadline)))
            if not waiting:
                return
            batch, scanned = waiting.popleft()
            yield from zip(batch, scanned.result(), strict=True)
    finally:
        threads.shutdown(cancel_futures=True)


def _scan(batch: list[_Text], pattern: LinePattern, deadline: float | None) -> list[bool | None]:
    answers: list[bool | None] = []
    unpacked = unpacker()
    for text in batch:
        is_late = deadline is not None and time.monotonic() > deadline
        answers.append(None if is_late else pattern.is_in(unpacked(text.packed)))
    return answers


def _batches(search: Search, scope: QuerySet[Device] | None, after: str) -> Iterator[list[_Text]]:
    """All texts to search, by hostname, a part of them in memory at a time."""
    texts = CurrentText.objects.filter(
        device__in=devices_filtered(device_filter=search.devices, scope=scope)
    )
    if after:
        texts = texts.filter(device__hostname__gt=after)
    sizes = texts.annotate(size=Length("packed")).order_by("device__hostname")
    ids: list[int] = []
    total = 0
    for device_id, size in sizes.values_list("device_id", "size"):
        if ids and (total + size > _BATCH_BYTES or len(ids) == _BATCH_DEVICES):
            yield _fetched(ids)
            ids, total = [], 0
        ids.append(device_id)
        total += size
    if ids:
        yield _fetched(ids)


def _fetched(ids: list[int]) -> list[_Text]:
    """The texts of these devices, by hostname.

    Fetched in PostgreSQL's binary format, for which Django has no way: as text, bytes have two hex
    digits each, and fetching takes twice as long (measured).
    """
    rows = CurrentText.objects.filter(device_id__in=ids).order_by("device__hostname")
    query, parameters = rows.values_list(
        "device_id", "device__hostname", "snapshot_id", "snapshot__collected_at", "packed"
    ).query.sql_with_params()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return [_Text(*row) for row in cursor.execute(query, parameters, binary=True)]
