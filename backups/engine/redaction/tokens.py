"""What stands in place of a secret."""

from __future__ import annotations

import hmac
import re

from backups.engine.redaction import reversible

#: For secrets that are encrypted anew at each read, and for those too short to hide in a digest.
CONSTANT_TOKEN = "<redacted:constant>"  # noqa: S105 - the token stands where a secret was
#: In place of a line that holds a keyword and a value which no rule knows.
REDACTED_LINE = "[REDACTED LINE]"
#: Every token, keyed or constant.
TOKEN = re.compile(r"<redacted:(?:[0-9a-f]{8}|constant)>")
#: A shorter secret is guessed from its digest's first eight digits and a list of all of its kind.
SHORTEST_KEYED = 4


class TokenMaker:
    """Makes the tokens of one installation."""

    def __init__(self, key: bytes) -> None:
        """``key`` is the installation key. Raises ValueError if it is empty."""
        if not key:
            raise ValueError("The redaction key is empty; set one in the configuration.")
        self._key = key

    def __repr__(self) -> str:
        return "TokenMaker()"

    def keyed(self, secret: str, encoding: str = "") -> str:
        """Token of ``secret``, as it stands behind the word ``encoding`` (``"7"``, or empty).

        The same secret gives the same token whether it is written in the clear or in a form that
        can be reversed (Cisco type 7, Juniper ``$9$``).
        """
        clear = reversible.decode(secret, encoding)
        if len(clear) < SHORTEST_KEYED:
            return CONSTANT_TOKEN
        digest = hmac.digest(self._key, clear.encode("utf-8", "surrogatepass"), "sha256")
        return f"<redacted:{digest.hex()[:8]}>"
