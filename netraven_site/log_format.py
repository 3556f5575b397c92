"""How lines of the log are written: as JSON, or as text on a terminal, and always redacted.

Lines of libraries come the same way: ``event`` is what they say, and ``template`` the words of it
that are the same at each time. What is bound to the context (``netraven_site.log_context``) stands
in every line.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal

import structlog
from structlog.typing import EventDict, Processor

Form = Literal["auto", "json", "text"]

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)
#: Fields that no secret can be in.
_CLEAN = frozenset({"time", "level", "logger"})
#: What serves and not just answers a command: its lines are for whoever gathers logs.
_SERVERS = frozenset({"celery", "gunicorn", "syslog"})
#: What a field is about whose value nobody should read; the words of the configuration as well.
_SECRET_FIELDS = frozenset({"token", "authorization", "cookie"})
_HIDDEN = "<hidden>"
WITHHELD = "(withheld: this message could not be redacted)"


def log_stream() -> IO[str]:
    """Standard output for servers; standard error for commands, which print their answers."""
    return sys.stdout if _serves() else sys.stderr


def shown_level(level: str, *, is_given: bool) -> str:
    """The level from which lines are written, where ``level`` is the configured one or the default.

    Who types a command reads its answer: beside it only warnings are shown, unless asked for more.
    """
    return level if is_given or _serves() else "WARNING"


def _serves() -> bool:
    program = Path(sys.argv[0] if sys.argv else "")
    return bool({program.name, program.parent.name, *sys.argv[1:2]} & _SERVERS)


def configure() -> None:
    """Have the loggers of structlog write through those of Python."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class RedactedFormatter(structlog.stdlib.ProcessorFormatter):
    """Writes one line per record, without what looks like a secret.

    Whoever logs an error of a library cannot know what the library quotes. What cannot be redacted
    is withheld, but for its place.
    """

    def __init__(self, form: Form = "auto") -> None:
        stream = log_stream()
        is_terminal = stream is not None and stream.isatty()
        as_text = form == "text" or (form == "auto" and is_terminal)
        super().__init__(
            foreign_pre_chain=_SHARED,
            processors=[
                _name_template,
                self.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact,
                _text(colors=is_terminal) if as_text else _json(),
            ],
        )


def _text(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors and "NO_COLOR" not in os.environ, timestamp_key="time", pad_event_to=0
    )


def _json() -> Processor:
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


def _name_template(logger: Any, name: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    if not event["_from_structlog"] and "%" in str(record.msg):
        event["template"] = str(record.msg)
    return event


def _redact(logger: Any, name: str, event: EventDict) -> EventDict:
    # Logging is set up before the rules can be read, and most commands log nothing.
    from backups.engine.errors import DeviceError
    from backups.services.redaction import installation_redactor

    try:
        clean = installation_redactor().redact_message
        return {
            key: value if key in _CLEAN else _redacted(key, value, clean)
            for key, value in event.items()
        }
    except DeviceError:
        kept = {key: event[key] for key in (*_CLEAN, "template") if key in event}
        return {**kept, "event": WITHHELD}


def _redacted(key: str, value: Any, clean: Callable[[str], str]) -> Any:
    """Numbers as they are; everything else as text, redacted, or hidden for the name it has."""
    from django.conf import settings

    if any(
        word in key.lower() for word in (*_SECRET_FIELDS, *settings.NETRAVEN.redaction_keywords)
    ):
        return _HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(str(value))
