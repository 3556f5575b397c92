"""Reading the JSON of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class BoundedJsonParser(JSONParser):
    """Reads JSON; what is nested too deeply, or is no text, is the client's fault."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            parsed = super().parse(stream, media_type, parser_context)
            json.dumps(parsed, ensure_ascii=False).encode()
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except UnicodeEncodeError:
            # An escape such as \ud800 alone: no column, no log and no answer could hold it.
            raise ParseError(
                "The JSON holds half of a surrogate pair, which is no character; leave it out."
            ) from None
        return parsed
