"""Where a device's configuration lies inside the Git store.

A path looks like ``3f/core-sw1~42.cfg``: a folder from a hash of the device id, so that a commit
rewrites one small folder however many devices there are; the hostname for people; the device id,
so that no two devices ever share a path, on no file system.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

_HOSTNAME_LIMIT = 64
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
#: Names that Windows keeps for itself, alone or before the first dot (Microsoft, "Naming Files,
#: Paths, and Namespaces").
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE | re.ASCII)
_CONFIG_PATH = re.compile(r"[0-9a-f]{2}/[A-Za-z0-9_][A-Za-z0-9._-]{0,64}~[1-9][0-9]{0,18}\.cfg")


def config_path(hostname: str, device_id: int) -> str:
    """Return the path of a device's configuration inside the Git store.

    ``hostname`` may be any text; what a file system could misread becomes ``-`` or is dropped.
    ``device_id`` is the positive id of the device; it alone makes the path unique, also where
    upper and lower case are the same. The result is plain ASCII of at most 92 characters and is
    the same on every machine.

    Raises ValueError when ``device_id`` is not between 1 and 2**63 - 1.
    """
    if not 0 < device_id < 2**63:
        raise ValueError(f"A device id must be between 1 and 2**63 - 1, not {device_id}.")
    shard = hashlib.sha256(str(device_id).encode("ascii")).hexdigest()[:2]
    return f"{shard}/{_readable(hostname)}~{device_id}.cfg"


def is_config_path(path: str) -> bool:
    """Tell whether ``path`` has the shape that :func:`config_path` gives."""
    return _CONFIG_PATH.fullmatch(path) is not None


def _readable(hostname: str) -> str:
    """Return the hostname as ASCII letters, digits, dot, dash and underscore; never empty."""
    plain = unicodedata.normalize("NFKD", hostname[: 4 * _HOSTNAME_LIMIT])
    name = _UNSAFE.sub("-", plain.encode("ascii", "ignore").decode("ascii"))
    name = name.strip(".-")[:_HOSTNAME_LIMIT].rstrip(".-") or "device"
    return f"_{name}" if _RESERVED.match(name) else name
