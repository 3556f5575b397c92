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
_TOKEN_BEGIN = "<redacted:"  # noqa: S105 - see above
#: A shorter secret is guessed from its digest's first eight digits and a list of all of its kind.
SHORTEST_KEYED = 4


def is_token(text: str) -> bool:
    """Whether ``text`` is one token and nothing else."""
    return text.startswith(_TOKEN_BEGIN) and TOKEN.fullmatch(text) is not None


class TokenMaker:
    """Makes the tokens of one installation."""

    def __init__(self, key: bytes) -> None:
        """``key`` is the installation key. Raises ValueError if it is empty."""
        if not key:
            raise ValueError("The redaction key is empty; set one in the configuration.")
        # The key is worked in once, not for each token.
        self._keyed = hmac.new(key, digestmod="sha256")

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
        digest = self._keyed.copy()
        digest.update(clear.encode("utf-8", "surrogatepass"))
        return f"{_TOKEN_BEGIN}{digest.hexdigest()[:8]}>"
