"""Who stands as the author of a commit."""

from __future__ import annotations

import re

from backups.engine.git.format import clean_name

#: What an address may hold; everything else becomes a hyphen.
_NOT_IN_ADDRESS = re.compile(r"[^A-Za-z0-9._+-]+")
_LOCAL_LENGTH = 64
_ANGLES = str.maketrans("", "", "<>")


def commit_author(user: str, hostname: str) -> str | None:
    """``"USER <USER@HOSTNAME>"`` for a user name that a device printed; None without one.

    The name is hostile text: brackets, control characters and line ends are gone from both parts,
    and the address names the device, so that nobody is taken for a person of another place.
    """
    name = clean_name(user.translate(_ANGLES))
    if not name:
        return None
    local = _address_part(name)[:_LOCAL_LENGTH] or "unknown"
    return f"{name} <{local}@{_address_part(hostname) or 'device'}>"


def _address_part(text: str) -> str:
    return _NOT_IN_ADDRESS.sub("-", text).strip("-.")
