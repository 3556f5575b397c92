"""How statements get to PostgreSQL."""

from __future__ import annotations

import select
import time
from typing import Any, Self

import psycopg

#: The protocol counts the parameters of a statement with 16 bits.
MOST_PARAMETERS = 65_535
#: How long the server counts as being there after it has said so.
_ASK_SECONDS = 5.0
#: What a pool sends to see whether a connection still stands (``ConnectionPool.check_connection``).
_QUESTION = ""


class Connection(psycopg.Connection[Any]):
    """A connection that the pool need not ask at each use whether it still stands.

    A worker takes one three times per device, and the answer is a round trip. A server that ends or
    is restarted closes its connections, which can be seen without asking it.
    """

    _answered_at = float("-inf")

    def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Any]:
        """See psycopg."""
        if query == _QUESTION and self._surely_stands():
            return self.cursor()
        cursor = super().execute(query, params, **options)
        if query == _QUESTION:
            self._answered_at = time.monotonic()
        return cursor

    def _surely_stands(self) -> bool:
        """Whether the server has answered lately and sent nothing since; an end would be there."""
        if time.monotonic() - self._answered_at > _ASK_SECONDS:
            return False
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        return not waiting.poll(0)


class Cursor(psycopg.Cursor[Any]):
    """Sends parameters apart from the statement, which PostgreSQL can then prepare.

    A statement with more of them than the protocol knows has them written into it.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """See psycopg."""
        if params is not None and len(params) > MOST_PARAMETERS:
            query, params = psycopg.ClientCursor(self.connection).mogrify(query, params), None
        return super().execute(query, params, **options)
