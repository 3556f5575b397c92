"""Is the process alive, and can it do its work."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from netraven_site.readiness import Readiness

_readiness = Readiness()


def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers; asks nothing of database or broker."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when everything is there that work needs, else 503; each part with its reason.

    ``?for=pages`` leaves the broker out: pages and API answer without it.
    """
    problems = _readiness.problems()
    needed = {**problems, "broker": ""} if request.GET.get("for") == "pages" else problems
    is_ready = not any(needed.values())
    answer = JsonResponse(
        {
            "is_ready": is_ready,
            "checks": {
                name: {"is_ok": not problem, "reason": problem}
                for name, problem in problems.items()
            },
        },
        status=200 if is_ready else 503,
    )
    answer["Cache-Control"] = "no-store"
    return answer
