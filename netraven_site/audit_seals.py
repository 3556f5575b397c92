"""Seals of the audit log: a chain of keyed digests over its entries.

The digest of an entry covers its content and the digest before it, under a key that the database
has not got. Who changes, deletes, moves or puts in a row with SQL cannot make the chain fit again.
What was sealed last can be cut off with its seals; the head that is logged, and printed by
``verify_audit``, shows that if it was kept elsewhere. docs/adr/0042 says why it is done this way.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

import structlog
from auditlog.models import LogEntry
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from netraven_site.models import AuditSeal

logger = structlog.get_logger(__name__)

#: Number of the advisory lock under which one sealer at a time adds to the chain.
_LOCK: Final = 0x4E65_7452_5345_414C
_CHUNK = 1_000
_CONTEXT = b"netraven audit log"
_FIRST: Final = b"\0" * 32
#: Not sealed: the actor is set to null when a user is deleted; the name stands in the data.
_LEFT_OUT: Final = frozenset({"actor"})
_MAX_PROBLEMS = 1_000


@dataclass(slots=True, kw_only=True)
class AuditFindings:
    """What a verification of the audit log found."""

    entries: int = 0
    sealed: int = 0
    #: Entries that were committed and wait for the next sealing.
    waiting: int = 0
    #: ``NUMBER:DIGEST`` of the last seal, empty without one; to be kept elsewhere.
    head: str = ""
    #: One line each, up to a thousand.
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def add(self, problem: str) -> None:
        """One more problem."""
        self.problem_count += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)


def seal_key(key: str) -> bytes:
    """The key of the chain, made of a redaction key."""
    return hmac.digest(key.encode(), _CONTEXT, hashlib.sha256)


def configured_keys() -> list[str]:
    """The redaction keys that entries may be sealed under: the current one and earlier ones."""
    config = settings.NETRAVEN
    old = config.old_redaction_keys.get_secret_value() if config.old_redaction_keys else ""
    return [config.key("redaction_key"), *old.split()]


def seal_on_commit() -> None:
    """Have the entries of this transaction sealed right after it, once.

    They are not sealed in it: the chain is added to by one at a time, and a long transaction would
    keep all others waiting. If that fails, the next sealing does it.
    """
    if not any(hook[1] is audit_seal for hook in connection.run_on_commit):
        transaction.on_commit(audit_seal, robust=True)


def audit_seal() -> int:
    """Seal every committed entry that waits, in the order of their ids; returns how many."""
    key = seal_key(settings.NETRAVEN.key("redaction_key"))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        waiting = list(
            AuditSeal.objects.filter(sequence=None)
            .order_by("entry_id")
            .values_list("pk", flat=True)
        )
        last = AuditSeal.objects.exclude(sequence=None).order_by("-sequence").first()
        number, before = (0, _FIRST) if last is None else (last.sequence or 0, _digest(last))
        for start in range(0, len(waiting), _CHUNK):
            seals = []
            for entry in _entries(waiting[start : start + _CHUNK]):
                number, before = number + 1, _sealed(key, before, entry)
                seals.append(AuditSeal(entry_id=entry.pk, sequence=number, digest=before))
            AuditSeal.objects.bulk_update(seals, ["sequence", "digest"])
    if waiting:
        # Logs go elsewhere: there the head is out of reach for whoever has the database.
        logger.info("audit_log.sealed", entries=len(waiting), head=f"{number}:{before.hex()}")
    return len(waiting)


def audit_verify(*, keys: Sequence[str], expected: str | None = None) -> AuditFindings:
    """Check the whole chain against the log.

    ``keys`` are the redaction keys that entries were sealed under, the current one and earlier
    ones. ``expected`` is a head that an earlier verification gave.
    """
    findings = AuditFindings(entries=LogEntry.objects.count())
    chain_keys = [seal_key(key) for key in keys]
    number, before = 0, _FIRST
    for seal, entry in _pairs():
        sequence = seal.sequence or 0
        digest = _digest(seal)
        if sequence != number + 1:
            findings.add(f"the seals {number + 1} to {sequence - 1} were deleted")
        if entry is None:
            findings.add(f"entry {seal.pk}, sealed as number {sequence}, was deleted")
        elif sequence == number + 1 and not any(
            hmac.compare_digest(digest, _sealed(key, before, entry)) for key in chain_keys
        ):
            findings.add(f"entry {seal.pk}, sealed as number {sequence}, was changed: {entry}")
        number, before = sequence, digest
        findings.sealed += 1
    if number:
        findings.head = f"{number}:{before.hex()}"
    _check_unsealed(findings)
    if expected is not None:
        _check_expected(expected, findings)
    return findings


def _pairs() -> Iterator[tuple[AuditSeal, LogEntry | None]]:
    """Every seal of the chain in its order, with its entry."""
    last = 0
    while True:
        seals = list(AuditSeal.objects.filter(sequence__gt=last).order_by("sequence")[:_CHUNK])
        if not seals:
            return
        entries = {entry.pk: entry for entry in _entries([seal.pk for seal in seals])}
        for seal in seals:
            yield seal, entries.get(seal.pk)
        last = seals[-1].sequence or 0


def _check_unsealed(findings: AuditFindings) -> None:
    entries = LogEntry.objects.filter(pk=OuterRef("pk"))
    seals = AuditSeal.objects.filter(pk=OuterRef("pk"))
    waiting = AuditSeal.objects.filter(sequence=None)
    findings.waiting = waiting.filter(Exists(entries)).count()
    for pk in waiting.exclude(Exists(entries)).values_list("pk", flat=True):
        findings.add(f"entry {pk} was deleted before it was sealed")
    for pk in LogEntry.objects.exclude(Exists(seals)).order_by("pk").values_list("pk", flat=True):
        findings.add(f"entry {pk} has no seal: it was put in, or its seal was deleted")


def _check_expected(expected: str, findings: AuditFindings) -> None:
    number, _, digest = expected.partition(":")
    seal = AuditSeal.objects.filter(sequence=int(number)).first()
    if seal is None:
        findings.add(f"the log ends before number {number}, which was sealed once: it was cut off")
    elif _digest(seal).hex() != digest:
        findings.add(f"number {number} has another seal than it had: the log was written anew")


def _entries(ids: Sequence[int]) -> list[LogEntry]:
    return list(LogEntry.objects.filter(pk__in=ids).order_by("pk"))


def _digest(seal: AuditSeal) -> bytes:
    return bytes(seal.digest or b"")


def _sealed(key: bytes, before: bytes, entry: LogEntry) -> bytes:
    return hmac.digest(key, before + _content(entry), hashlib.sha256)


def _content(entry: LogEntry) -> bytes:
    """The columns of ``entry`` in one form only, whoever read them."""
    values: dict[str, Any] = {
        column.name: getattr(entry, column.attname)
        for column in LogEntry._meta.concrete_fields
        if column.name not in _LEFT_OUT
    }
    values["timestamp"] = entry.timestamp.astimezone(UTC).isoformat()
    kind = ContentType.objects.get_for_id(entry.content_type_id)
    values["content_type"] = f"{kind.app_label}.{kind.model}"
    return json.dumps(values, sort_keys=True, cls=DjangoJSONEncoder).encode()
