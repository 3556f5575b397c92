"""What every line of a task or a request says beside its words: the ids that it belongs to.

Bound when it begins and cleared when it ends, so that nothing sticks to the thread.
"""

from __future__ import annotations

import inspect
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from celery import signals
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars, clear_contextvars

logger = structlog.get_logger("netraven.web")

HEADER = "X-Request-ID"
_GIVEN_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")
#: Asked every few seconds by programs; a line for each would bury the others.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestLog:
    """Names the request in every line that it causes, and says how it ended.

    The id is that of the caller's header ``X-Request-ID`` where it is one, and goes back with the
    answer. Queries are left out: they may hold what nobody should read.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        begin = time.monotonic()
        clear_contextvars()
        bind_contextvars(request=request_id)
        try:
            answer = self._get_response(request)
            answer[HEADER] = request_id
            if request.path not in _QUIET and not request.path.startswith(settings.STATIC_URL):
                _log(request, answer, time.monotonic() - begin)
        finally:
            clear_contextvars()
        return answer


def _log(request: HttpRequest, answer: HttpResponse, seconds: float) -> None:
    user = getattr(request, "user", None)
    logger.info(
        "http.request",
        method=request.method,
        path=request.path,
        status=answer.status_code,
        seconds=round(seconds, 3),
        user=user.pk if user is not None and user.is_authenticated else None,
    )


def connect() -> None:
    """Bind and clear around each task of this process, and have Celery leave the loggers alone."""
    signals.setup_logging.connect(_leave_loggers, weak=False, dispatch_uid="netraven-log")
    signals.task_prerun.connect(_task_begins, weak=False, dispatch_uid="netraven-log")
    signals.task_postrun.connect(_task_ends, weak=False, dispatch_uid="netraven-log")


def _leave_loggers(**_: Any) -> None:
    """Connected, it keeps Celery from setting up handlers of its own; Django has done it."""


def _task_begins(task_id: str, task: Any, args: Any, kwargs: Any, **_: Any) -> None:
    clear_contextvars()
    try:
        ids = inspect.signature(task.run).bind_partial(*args, **kwargs).arguments
    except TypeError:
        ids = {}  # a task of another version; it fails for itself
    named = {
        name.removesuffix("_id"): value for name, value in ids.items() if isinstance(value, int)
    }
    bind_contextvars(task=task_id, task_name=task.name, **named)


def _task_ends(**_: Any) -> None:
    clear_contextvars()
