"""What tests of pages have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext

from credentials.models import TagLimit
from credentials.services import tags_ensure

#: What a page may ask of the database, session and rights included.
MAX_QUERIES = 12


@contextmanager
def few_queries(most: int = MAX_QUERIES) -> Iterator[None]:
    """Fail when more is asked of the database than a page may ask."""
    with CaptureQueriesContext(connection) as queries:
        yield
    asked = [query["sql"][:200] for query in queries.captured_queries]
    assert len(asked) <= most, "\n".join(asked)


def said(answer: Any) -> str:
    """What an answer of the test client tells the user on the next page."""
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def part(name: str) -> dict[str, str]:
    """The headers by which htmx asks for the part of a page that fills this element."""
    return {"HX-Request": "true", "HX-Target": name}


def limited_to(user: User, *tags: str) -> User:
    """``user``, who from then on sees the devices with one of ``tags`` only."""
    limit = TagLimit.objects.create(user=user)
    limit.tags.set(tags_ensure(names=tags))
    return user
