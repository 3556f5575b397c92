"""Small pieces of the operator's pages: times, durations, statuses, headings that sort."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

register = template.Library()

_GOOD = frozenset({"SUCCEEDED", "COMPLETED_SUCCESS", "COMMITTED", "FRESH", "ONLINE", "OK"})
_BAD = frozenset(
    {
        "FAILED",
        "ERRORED",
        "COMPLETED_FAILURE",
        "COMPLETED_NO_CREDENTIALS",
        "FAILED_CREDENTIAL_RESOLUTION",
        "FAILED_DISPATCHER_ERROR",
        "FAILED_UNEXPECTED",
        "NEVER",
        "OPEN",
        "ERROR",
        "CRITICAL",
    }
)
_CAUTION = frozenset(
    {
        "SUSPECT",
        "RETRYING",
        "COMPLETED_PARTIAL_FAILURE",
        "COMPLETED_NO_DEVICES",
        "STALE",
        "WARNING",
        "HALF_OPEN",
    }
)
_ACTIVE = frozenset({"RUNNING"})


@register.simple_tag
def when(moment: datetime | None, empty: str = "never") -> SafeString:
    """How long ago ``moment`` was, with the exact time in the browser's zone on hover."""
    if moment is None:
        return format_html('<span class="nr-muted">{}</span>', empty)
    exact = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-when title="{} UTC">{}</time>',
        exact.isoformat(timespec="seconds"),
        exact.strftime("%Y-%m-%d %H:%M:%S"),
        _distance(moment),
    )


@register.simple_tag
def moment(value: datetime | None, empty: str = "") -> SafeString:
    """The exact time, which the browser shows in its own zone; UTC without scripts."""
    if value is None:
        return format_html('<span class="nr-muted">{}</span>', empty)
    exact = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-exact>{} UTC</time>',
        exact.isoformat(timespec="seconds"),
        exact.strftime("%Y-%m-%d %H:%M:%S"),
    )


def _distance(moment: datetime) -> str:
    now = timezone.now()
    if moment > now:
        return f"in {timesince(now, moment, depth=1)}"
    if now - moment < timedelta(minutes=1):
        return "just now"
    return f"{timesince(moment, now, depth=1)} ago"


@register.filter
def duration(value: float | timedelta | None) -> str:
    """Seconds or a timedelta as ``12.3 s``, ``4 min 05 s`` or ``2 h 03 min``; None as a dash."""
    if value is None:
        return "-"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


@register.simple_tag
def status(value: Any) -> SafeString:
    """A status as a coloured label; the text says all that the colour says."""
    text = str(value)
    words = text.replace("_", " ").capitalize()
    return format_html('<span class="nr-status nr-status-{}">{}</span>', tone(text), words)


def tone(value: str) -> str:
    """``good``, ``bad``, ``caution``, ``active`` or ``neutral`` for a status or log level."""
    text = value.upper()
    tones = {"good": _GOOD, "bad": _BAD, "caution": _CAUTION, "active": _ACTIVE}
    return next((name for name, values in tones.items() if text in values), "neutral")


@register.inclusion_tag("pages/sort.html", takes_context=True)
def sort(context: template.Context, name: str, label: str) -> dict[str, Any]:
    """A column's heading that orders the table by ``name``, and backwards the second time."""
    current = str(context.get("ordering", ""))
    backwards = current == name
    return {
        "request": context["request"],
        "label": label,
        "ordering": f"-{name}" if backwards else name,
        "direction": _direction(current, name),
    }


def _direction(current: str, name: str) -> str:
    if current == name:
        return "ascending"
    return "descending" if current == f"-{name}" else "none"
