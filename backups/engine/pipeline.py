"""One device from log-in to redacted text: collect, check, normalise, redact."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from backups.engine import completeness
from backups.engine.collector import Collector, SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.normalise import clean_text, normalise_text
from backups.engine.redaction import Redactor
from backups.engine.types import DeviceTarget, RedactedConfig
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRequest:
    """All that one backup needs to know; no database is asked while the device talks."""

    target: DeviceTarget
    platform: PlatformDefinition
    credential: DeviceCredential
    limits: SessionLimits
    #: Size in bytes of the last good redacted text, or None without one.
    previous_size: int | None
    #: Share of ``previous_size`` below which the text is suspect; 0 switches the check off.
    minimum_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOutcome:
    """What one session brought, ready to be stored."""

    #: The running-config as the device printed it.
    raw: bytes = field(repr=False)
    #: Keyed digest of the normalised raw text, in hex.
    raw_digest: str
    #: None when the text is not trusted.
    config: RedactedConfig | None
    #: Why the text is not trusted; empty when it is.
    suspicions: tuple[str, ...]
    host_key: str | None
    phase_seconds: Mapping[str, float]


def back_up(
    request: BackupRequest, *, collector: Collector, redactor: Redactor, digest_key: bytes
) -> BackupOutcome:
    """Read the device of ``request``. Raises DeviceError and nothing else that a device can cause.

    An output that is not trusted is no error: it comes back with its ``suspicions``.
    """
    platform = request.platform
    collection = collector.collect(request.target, request.credential, platform, request.limits)
    output = collection.outputs[0]
    text = clean_text(output.payload)
    rejection = completeness.rejection(platform, text)
    if rejection is not None:
        line = redactor.redact_message(rejection, request.credential.secrets())
        raise DeviceError(
            ErrorCategory.COMMAND_REJECTED,
            f"the device rejected '{output.command}': {line[:120]}",
        )
    normalised = normalise_text(platform, text)
    suspicions = completeness.check(
        platform,
        text,
        previous_size=request.previous_size,
        minimum_share=request.minimum_share,
    )
    return BackupOutcome(
        raw=output.payload,
        raw_digest=hmac.new(digest_key, normalised.encode(), hashlib.sha256).hexdigest(),
        config=None if suspicions else redactor.redact(platform, normalised),
        suspicions=tuple(suspicions),
        host_key=collection.host_key,
        phase_seconds=collection.phase_seconds,
    )
