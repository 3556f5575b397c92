"""Host keys as text."""

from __future__ import annotations

import base64
import hashlib


def fingerprint(host_key: str) -> str:
    """Type and SHA-256 fingerprint of ``"type base64"``, as ``ssh-keygen -l`` prints it.

    Empty for no key. Raises ValueError for a text that is none.
    """
    if not host_key:
        return ""
    kind, _, encoded = host_key.partition(" ")
    digest = hashlib.sha256(base64.b64decode(encoded, validate=True)).digest()
    return f"{kind} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
