"""How statements get to PostgreSQL."""

from __future__ import annotations

from typing import Any, Self

import psycopg

#: The protocol counts the parameters of a statement with 16 bits.
MOST_PARAMETERS = 65_535


class Cursor(psycopg.Cursor[Any]):
    """Sends parameters apart from the statement, which PostgreSQL can then prepare.

    A statement with more of them than the protocol knows has them written into it.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """See psycopg."""
        if params is not None and len(params) > MOST_PARAMETERS:
            query, params = psycopg.ClientCursor(self.connection).mogrify(query, params), None
        return super().execute(query, params, **options)
