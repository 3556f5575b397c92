"""One device from log-in to redacted text: collect, check, normalise, redact."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from backups.engine.collector import NO_GUARD, Collector, LogInGuard, SessionLimits
from backups.engine.completeness import SizeLimit, answer_of, rejection, suspicions
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.findings import VALUE_LENGTH, FoundAttribution, attribution, facts, unsaved
from backups.engine.outputs import by_role, output_text, running_content, running_payload
from backups.engine.redaction import Redactor
from backups.engine.types import Collection, CommandOutput, DeviceTarget, RedactedConfig
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import Fact, Role

#: From here on only one text at a time is checked and redacted in a process: several would not be
#: done sooner, and each takes a multiple of its size in memory meanwhile.
_LARGE_BYTES = 1024 * 1024
_large_text = threading.Lock()


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
    #: SHA-256 of the last good redacted text in hex, or None without one. The same text is trusted
    #: again, so that what somebody accepted as it is stays accepted.
    previous_sha256: str | None = None
    #: ``source_digest`` of that text; empty where nobody knows it.
    previous_source: str = ""
    #: Asked before the log-in and told of it.
    guard: LogInGuard = NO_GUARD
    #: Who has changed the configuration, as others say; counts where the device names nobody.
    changed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownConfig:
    """The last good text: the same rules have made it of what the device printed this time, too."""

    #: SHA-256 of the redacted text in hex.
    content_sha256: str
    #: Redacts it after all, for those who find that text gone. Raises DeviceError.
    redacted: Callable[[], RedactedConfig] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOutcome:
    """What one session brought, ready to be stored."""

    #: The running-config as the device printed it; see ``outputs.running_payload``.
    raw: bytes = field(repr=False)
    #: Keyed digest of the normalised raw text, in hex.
    raw_digest: str
    #: None when the text is not trusted, and when it is ``known``.
    config: RedactedConfig | None
    #: In the place of ``config``, where that need not be made; None otherwise.
    known: KnownConfig | None = None
    #: See ``source_digest``; empty when the text is not trusted.
    source_digest: str = ""
    #: Why the text is not trusted, redacted; empty when it is.
    suspicions: tuple[str, ...]
    host_key: str | None
    phase_seconds: Mapping[str, float]
    #: Redacted: a device may print anything in the place of a serial number.
    facts: Mapping[Fact, str] = field(default_factory=dict)
    #: Who changed the configuration last, redacted; None where the device does not say it.
    attribution: FoundAttribution | None = None
    #: Whether the running-config differs from the saved one; None where that is not known.
    unsaved: bool | None = None
    #: What went wrong with commands that the backup does without; one redacted line each.
    notes: tuple[str, ...] = ()
    #: Host keys to keep of the jump hosts on the way, by their names.
    jump_host_keys: Mapping[str, str] = field(default_factory=dict)


def back_up(
    request: BackupRequest, *, collector: Collector, redactor: Redactor, digest_key: bytes
) -> BackupOutcome:
    """Read the device of ``request``. Raises DeviceError and nothing else that a device can cause.

    An output that is not trusted is no error: it comes back with its ``suspicions``.
    """
    collection = collector.collect(
        request.target, request.credential, request.platform, request.limits, request.guard
    )
    begun = time.monotonic()
    with _turn(collection):
        return _outcome(request, collection, redactor, digest_key, begun)


@contextmanager
def _turn(collection: Collection) -> Iterator[None]:
    """Wait until no other large text is worked on, if this one is large."""
    if sum(len(output.payload) for output in collection.outputs) < _LARGE_BYTES:
        yield
        return
    with _large_text:
        yield


def _outcome(
    request: BackupRequest,
    collection: Collection,
    redactor: Redactor,
    digest_key: bytes,
    begun: float,
) -> BackupOutcome:
    """What ``collection`` is worth; the look at it ``begun`` then, on the monotonic clock."""
    platform, secrets = request.platform, request.credential.secrets()
    outputs = collection.outputs
    _refuse_rejected(platform, outputs, redactor, secrets)
    text = running_content(platform, outputs)
    digest = raw_digest(digest_key, text)
    made_by = partial(source_digest, digest_key, redactor.fingerprint(platform), digest)
    judged = _judged(request, collection, made_by, partial(redactor.redact, platform, text))
    reasons = judged.reasons
    return BackupOutcome(
        raw=running_payload(platform, outputs),
        raw_digest=digest,
        config=judged.config,
        known=judged.known,
        source_digest=judged.source_digest,
        suspicions=tuple(redactor.redact_message(reason, secrets) for reason in reasons),
        host_key=collection.host_key,
        phase_seconds={**collection.phase_seconds, "redact": time.monotonic() - begun},
        jump_host_keys=collection.jump_host_keys,
        facts={
            fact: redactor.redact_message(value, secrets)[:VALUE_LENGTH]
            for fact, value in facts(platform, outputs).items()
        },
        attribution=redacted_attribution(_attribution(request, outputs), redactor, secrets),
        unsaved=None if reasons else unsaved(platform, outputs),
        notes=tuple(
            redactor.redact_message(note, secrets)
            for note in (*collection.notes, *_rejected_options(platform, outputs))
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What a text is worth; the first three are as in ``BackupOutcome``."""

    config: RedactedConfig | None = None
    known: KnownConfig | None = None
    source_digest: str = ""
    #: Why it is not trusted.
    reasons: Sequence[str] = ()


def _judged(
    request: BackupRequest,
    collection: Collection,
    made_by: Callable[[str], str],
    redacted: Callable[[], RedactedConfig],
) -> _Judged:
    """The running-config in ``collection``, which ``redacted`` redacts if that is needed.

    ``made_by`` gives the source digest by the SHA-256 of the redacted text.
    """
    previous = request.previous_sha256
    if previous is not None and hmac.compare_digest(made_by(previous), request.previous_source):
        known = KnownConfig(content_sha256=previous, redacted=redacted)
        return _Judged(known=known, source_digest=request.previous_source)
    config = redacted()
    content_sha256 = hashlib.sha256(config.text.encode()).hexdigest()
    # The last good text needs no check.
    if content_sha256 != previous and (reasons := _reasons(request, collection, config)):
        return _Judged(reasons=reasons)
    return _Judged(config=config, source_digest=made_by(content_sha256))


def _attribution(
    request: BackupRequest, outputs: Sequence[CommandOutput]
) -> FoundAttribution | None:
    """Who changed the configuration: the device's own word before that of others."""
    found = attribution(request.platform, outputs)
    if not request.changed_by or (found is not None and found.user):
        return found
    return FoundAttribution(user=request.changed_by, time=found.time if found else "")


def raw_digest(key: bytes, normalised: str) -> str:
    """Keyed digest in hex of a text that ``normalise`` made, before redaction."""
    return hmac.new(key, normalised.encode(), hashlib.sha256).hexdigest()


def source_digest(key: bytes, fingerprint: str, raw_digest: str, content_sha256: str) -> str:
    """Keyed digest in hex of how a redacted text came about.

    ``fingerprint`` is that of the rules, ``raw_digest`` that of what they were applied to and
    ``content_sha256`` that of what they made of it; 64 hex digits each. While it stays the same,
    redacting would give the same text again.
    """
    parts = f"{fingerprint}{content_sha256}{raw_digest}"
    return hmac.new(key, parts.encode(), hashlib.sha256).hexdigest()


def redacted_attribution(
    found: FoundAttribution | None, redactor: Redactor, secrets: Sequence[str] = ()
) -> FoundAttribution | None:
    """``found`` as it may be stored and shown: without ``secrets`` and what looks like one."""
    if found is None:
        return None
    return FoundAttribution(
        user=redactor.redact_message(found.user, secrets)[:VALUE_LENGTH],
        time=redactor.redact_message(found.time, secrets)[:VALUE_LENGTH],
    )


def _reasons(request: BackupRequest, collection: Collection, config: RedactedConfig) -> list[str]:
    """Why the running-config in ``collection`` is not trusted; empty when it is."""
    running = by_role(collection.outputs, Role.RUNNING)
    return suspicions(
        request.platform,
        [answer_of(request.platform, output) for output in running],
        prompt=collection.prompt,
        limit=SizeLimit(
            size=len(config.text.encode()),
            previous_size=request.previous_size,
            minimum_share=request.minimum_share,
        ),
    )


def _refuse_rejected(
    platform: PlatformDefinition,
    outputs: Sequence[CommandOutput],
    redactor: Redactor,
    secrets: Sequence[str],
) -> None:
    """Raise DeviceError for the first running-config command that the device rejected."""
    for command, line in _rejected(platform, by_role(outputs, Role.RUNNING)):
        safe = redactor.redact_message(line, secrets)
        raise DeviceError(
            ErrorCategory.COMMAND_REJECTED, f"the device rejected '{command}': {safe[:120]}"
        )


def _rejected_options(
    platform: PlatformDefinition, outputs: Sequence[CommandOutput]
) -> Iterator[str]:
    """One line per rejected command that the backup does without."""
    optional = [output for output in outputs if output.role is not Role.RUNNING]
    for command, line in _rejected(platform, optional):
        yield f"'{command}': the device rejected it: {line}"


def _rejected(
    platform: PlatformDefinition, outputs: Sequence[CommandOutput]
) -> Iterator[tuple[str, str]]:
    """Each rejected command with the error line of the device."""
    for output in outputs:
        line = rejection(platform, output_text(platform, output))
        if line is not None:
            yield output.command, line
