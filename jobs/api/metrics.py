"""``/metrics``: for Prometheus, behind a token of its own."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from jobs.monitoring.metrics import metrics_text

_SCHEME = "Bearer "


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics, for whoever knows the token; 404 unless the configuration opens this address.

    The address of the caller opens nothing: behind a proxy on the same host everybody comes from
    the loopback address.
    """
    config = settings.NETRAVEN
    if config.metrics_token is None and not config.metrics_without_token:
        raise Http404("metrics are switched off; set NETRAVEN_METRICS_TOKEN")
    if config.metrics_token is not None and not _knows(
        request, config.metrics_token.get_secret_value()
    ):
        text = "metrics need the token: Authorization: Bearer TOKEN\n"
        answer = HttpResponse(text, status=401, content_type="text/plain; charset=utf-8")
        answer["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    answer = HttpResponse(metrics_text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    answer["Cache-Control"] = "no-store"
    return answer


def _knows(request: HttpRequest, token: str) -> bool:
    given = request.headers.get("Authorization", "")
    if given[: len(_SCHEME)].lower() != _SCHEME.lower():
        return False
    return constant_time_compare(given[len(_SCHEME) :].strip(), token)
