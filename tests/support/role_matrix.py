"""Who may do what, found out by asking every address of the site as everybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.support.admin_pages import registered

API = "/api/v1/"
_ADMIN = "/admin/"
#: Beginnings of addresses that are for programs, or in a table of their own.
_NO_PAGES = (API[1:], _ADMIN[1:], "healthz", "readyz", "metrics")
#: No row has it: rights are asked for before anything is looked up, so 404 is a yes.
_NO_SUCH_ID = "987654321"
_NO_SUCH = {"token": "deadbeef", "token_key": "0" * 15}
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>(?:\[[^\]]*\]|[^()])*\)")


@dataclass(frozen=True, slots=True)
class Question:
    """One request; ``address`` and ``deed`` are how the table names it."""

    address: str
    deed: str
    method: str
    path: str


def api_questions() -> list[Question]:
    """Every method of every address of the API."""
    return [
        Question(_shown(route), method, method, "/" + _filled(route))
        for route, pattern in _patterns(get_resolver().url_patterns, "")
        if route.startswith(API[1:]) and "format" not in route and ".*" not in route
        for method in _methods(pattern)
    ]


def admin_questions() -> list[Question]:
    """Every page of every model in the admin."""
    questions = []
    for model, model_admin in registered().items():
        root = f"{_ADMIN}{model._meta.app_label}/{model._meta.model_name}/"
        for pattern in model_admin.get_urls():
            if not isinstance(pattern, URLPattern):
                continue
            route = str(pattern.pattern)
            name = (pattern.name or "").rpartition("_")[2]
            if name == "history" or route == "<path:object_id>/":
                continue  # says only whether there is such a row; and a redirection of old links
            path = root + _filled(route)
            if name == "change":
                questions.append(Question(root, "view", "GET", path))
                questions.append(Question(root, "change", "POST", path))
            else:
                deed = name if name in {"add", "delete"} else _shown(route) or "list"
                questions.append(Question(root, deed, "GET", path))
    return questions


def page_questions() -> list[Question]:
    """Every page of the site that belongs neither to the API nor to the admin, and every deed."""
    return [
        Question(f"/{_shown(route)}", method, method, f"/{_filled(route)}")
        for route, pattern in _patterns(get_resolver().url_patterns, "")
        if not route.startswith(_NO_PAGES)
        for method in _page_methods(pattern)
    ]


def answer_to(client: Client, question: Question) -> str:
    """``yes``, ``no``, or, where the answer is neither, what is wrong with it."""
    is_known = "sessionid" in client.cookies
    # A reason, so that what asks for one goes on to look for the row.
    body = "" if question.method in {"GET", "DELETE"} else json.dumps({"reason": "matrix"})
    kind = "application/json" if question.path.startswith(API) else "text/plain"
    answer = client.generic(question.method, question.path, body, content_type=kind)
    to_login = answer.headers.get("Location", "").startswith(f"{_ADMIN}login/")
    if answer.status_code == (403 if is_known else 401) or (to_login and not is_known):
        return "no"
    if answer.status_code in {401, 403, 405} or answer.status_code >= 500 or to_login:
        return f"{question.method} {question.path}: {answer.status_code}"
    return "yes"


def table(questions: Iterable[Question], people: dict[str, User | None]) -> str:
    """A Markdown table: deeds of one address that have the same answers share a row."""
    clients = [_client(user) for user in people.values()]
    rows: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for question in questions:
        answers = tuple(answer_to(client, question) for client in clients)
        deeds = rows.setdefault((question.address, answers), [])
        if question.deed not in deeds:
            deeds.append(question.deed)
    lines = [
        f"| address | what | {' | '.join(people)} |",
        f"|---|---|{'---|' * len(people)}",
        *(
            f"| `{address}` | {', '.join(deeds)} | {' | '.join(answers)} |"
            for (address, answers), deeds in sorted(rows.items())
        ),
    ]
    return "\n".join(lines) + "\n"


def _client(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def _patterns(
    patterns: Iterable[URLPattern | URLResolver], prefix: str
) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern).lstrip("^").rstrip("$")
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, route)
        else:
            yield route, pattern


def _methods(pattern: URLPattern) -> list[str]:
    callback = pattern.callback
    actions = getattr(callback, "actions", None)
    if actions:
        return [method.upper() for method in actions if method != "head"]
    view = callback.cls  # type: ignore[attr-defined]  # every other view of the API is a class
    names = ("get", "post", "put", "patch", "delete")
    return [name.upper() for name in names if hasattr(view, name)]


def _page_methods(pattern: URLPattern) -> list[str]:
    view = pattern.callback.view_class  # type: ignore[attr-defined]  # every page is a class
    return [
        name.upper()
        for name in ("get", "post")
        if name in view.http_method_names and hasattr(view, name)
    ]


def _filled(route: str) -> str:
    def value(found: re.Match[str]) -> str:
        return _NO_SUCH.get(found[1] or found[2], _NO_SUCH_ID)

    return _PARAMETER.sub(value, route)


def _shown(route: str) -> str:
    """The route as people write it, without what all of them begin with."""
    shown = _PARAMETER.sub(lambda found: "{%s}" % (found[1] or found[2]), route)
    return shown.removeprefix(API[1:]).replace("{pk}", "{id}")
