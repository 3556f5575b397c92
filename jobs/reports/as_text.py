"""The report of a run as text of at most 100 columns, for a terminal, a mail or a ticket."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime

from django.db.models import QuerySet

from inventory.models import Device
from jobs.models import JobRun
from jobs.selectors.failures import FailureGroup
from jobs.selectors.reports import (
    CredentialFigures,
    DeviceRow,
    Durations,
    RunFacts,
    run_changed_rows,
    run_facts,
    run_skipped_rows,
)

_WIDTH = 100
_INDENT = "  "
#: Hostnames may have 255 letters.
_NAME_WIDTH = 40


def text_report(run: JobRun, scope: QuerySet[Device] | None = None) -> Iterator[str]:
    """The report line by line, each with its line end."""
    facts = run_facts(run=run, scope=scope)
    yield from _lines(_facts(facts))
    if facts.failures:
        yield "\nFailures by cause\n"
        for group in facts.failures:
            yield from _lines(failure_lines(group))
    yield from _section("Changed devices", _changed(run_changed_rows(run=run, scope=scope)))
    yield from _section("Skipped devices", _skipped(run_skipped_rows(run=run, scope=scope)))


def failure_lines(group: FailureGroup) -> Iterator[str]:
    """A group of failures as lines of text, its name for a retry at the end."""
    yield from _wrapped(group.summary, 1)
    if group.message:
        yield from _wrapped(group.message, 2)
    elif group.example_message:
        yield from _wrapped(f"for example: {group.example_message}", 2)
    yield from _wrapped(f"what to do: {group.what_to_do}", 2)
    names = ", ".join(group.hostnames)
    others = group.count - len(group.hostnames)
    yield from _wrapped(f"devices: {names}" + (f" and {others} others" if others else ""), 2)
    yield from _wrapped(f"group: '{group.key}'", 2)


def duration_in_words(seconds: float | None) -> str:
    """``3.2 s``, ``4 min 5 s`` or ``2 h 0 min``; ``unknown`` for None."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _facts(facts: RunFacts) -> Iterator[str]:
    run = facts.run
    yield from _wrapped(f"Run {run.pk} of job '{run.job_name}': {run.status}", 0)
    if run.status_reason:
        yield from _wrapped(run.status_reason, 1)
    by = f" by {run.requested_by.username}" if run.requested_by else ""
    again = f", a retry of run {run.retry_of_id}" if run.retry_of_id else ""
    yield from _wrapped(f"asked for {_time(run.created_at)} ({run.trigger}{by}{again})", 1)
    yield from _wrapped(f"started {_time(run.started_at)}, ended {_time(run.finished_at)}", 1)
    if run.duration_seconds is not None:
        yield from _wrapped(f"took {duration_in_words(run.duration_seconds)}", 1)
    total = sum(facts.devices.values())
    counts = "".join(f", {count} {status.lower()}" for status, count in facts.devices.items())
    yield from _wrapped(f"devices: {total}{counts}", 1)
    yield from _credentials(facts, total)
    yield from _durations(facts.durations)


def _credentials(facts: RunFacts, total: int) -> Iterator[str]:
    yield from ("", "Credentials")
    yield from _wrapped(f"{facts.with_credential} of {total} devices have one", 1)
    for figures in facts.credentials:
        yield from _wrapped(_credential(figures), 1)


def _credential(figures: CredentialFigures) -> str:
    text = (
        f"{figures.name}: {figures.devices} devices, {figures.succeeded} succeeded, "
        f"{figures.refused} refused it"
    )
    if figures.set_aside_at is None:
        return text
    text = f"{text}; set aside {_time(figures.set_aside_at)}"
    return f"{text}: {figures.reason}" if figures.reason else text


def _durations(durations: Durations) -> Iterator[str]:
    if durations.median is None:
        return
    yield from ("", "Durations of devices")
    median, p95 = duration_in_words(durations.median), duration_in_words(durations.p95)
    yield from _wrapped(f"median {median}, 95 % within {p95}; the slowest:", 1)
    for hostname, seconds in durations.slowest:
        yield f"{_INDENT}{_INDENT}{_name(hostname)} {duration_in_words(seconds):>12}"


def _changed(rows: Iterator[DeviceRow]) -> Iterator[str]:
    for row in rows:
        size = f"+{row.lines_added or 0} -{row.lines_removed or 0}"
        yield f"{_INDENT}{_name(row.hostname)} {size:>14}  {row.commit[:12] or 'not yet in Git'}"


def _skipped(rows: Iterator[DeviceRow]) -> Iterator[str]:
    for row in rows:
        yield from _wrapped(f"{row.hostname}: {row.error_message}", 1)


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    """A heading and ``lines``; nothing where there are none."""
    first = next(lines, None)
    if first is None:
        return
    yield f"\n{title}\n"
    yield from _lines((first,))
    yield from _lines(lines)


def _lines(lines: Iterator[str] | tuple[str, ...]) -> Iterator[str]:
    return (f"{_printable(line)}\n" for line in lines)


def _wrapped(text: str, depth: int) -> list[str]:
    indent = _INDENT * depth
    return textwrap.wrap(
        _printable(text), _WIDTH, initial_indent=indent, subsequent_indent=indent + _INDENT
    )


def _name(hostname: str) -> str:
    short = hostname if len(hostname) <= _NAME_WIDTH else hostname[: _NAME_WIDTH - 1] + "…"
    return f"{short:{_NAME_WIDTH}}"


def _printable(text: str) -> str:
    """``text`` without signs that would move the cursor of a terminal: devices said parts of it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _time(when: datetime | None) -> str:
    return "not yet" if when is None else f"{when:%Y-%m-%d %H:%M:%S %Z}"
