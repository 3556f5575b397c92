"""Device text in a page."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.html import format_html

from backups.engine.errors import DeviceError
from backups.selectors.snapshots import SnapshotNotFound
from backups.services.suspects import SuspectNotAccepted
from credentials.cipher import CipherError


def preformatted(text: Callable[[], str]) -> str:
    """``text`` in a block of its own, escaped; a text that cannot be read says why."""
    try:
        return format_html('<pre class="netraven-config">{}</pre>', text())
    except (DeviceError, CipherError, SnapshotNotFound, SuspectNotAccepted) as error:
        return str(error)
