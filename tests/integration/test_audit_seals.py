"""The audit log cannot be changed with SQL unnoticed, and is sealed whoever writes at once."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pydantic import SecretStr

from credentials.models import Tag
from jobs.choices import EventKind, Severity
from jobs.models import (
    AuditCheck,
    NotificationEvent,
    NotificationRule,
    NotificationTarget,
)
from jobs.monitoring.attention import needs_a_hand
from jobs.monitoring.facts import system_facts
from jobs.monitoring.metrics import metrics_text
from jobs.notifications.collect import notifications_collect
from netraven_site.audit_check import audit_check
from netraven_site.audit_seals import AuditFindings, audit_seal, audit_verify
from netraven_site.models import AuditSeal
from netraven_site.tasks import verify_audit
from tests.factories import TagFactory, UserFactory

pytestmark = [pytest.mark.django_db]


def verified(expected: str | None = None) -> AuditFindings:
    return audit_verify(keys=[settings.NETRAVEN.key("redaction_key")], expected=expected)


def sql(statement: str, ids: Sequence[int] = ()) -> None:
    """Run ``statement``, in which ID1 is the first of ``ids``."""
    for number, pk in enumerate(ids, 1):
        statement = statement.replace(f"ID{number}", str(pk))
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def ids() -> list[int]:
    """Six sealed entries."""
    LogEntry.objects.all().delete()
    AuditSeal.objects.all().delete()
    for number in range(6):
        TagFactory.create(name=f"t{number}")
    assert audit_seal() == 6
    return list(LogEntry.objects.order_by("pk").values_list("pk", flat=True))


def test_an_untouched_log_is_in_order(ids: list[int]) -> None:
    findings = verified()
    assert (findings.entries, findings.sealed, findings.waiting) == (6, 6, 0)
    assert findings.problems == [] and findings.head.startswith("6:")
    TagFactory.create(name="t6")
    assert (verified().waiting, verified().problem_count) == (1, 0)
    assert audit_seal() == 1 and audit_seal() == 0
    assert verified(expected=findings.head).problem_count == 0


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE auditlog_logentry SET object_repr = 'x' WHERE id = ID3", "was changed"),
        ("UPDATE auditlog_logentry SET remote_addr = '192.0.2.1' WHERE id = ID3", "was changed"),
        ("UPDATE auditlog_logentry SET timestamp = now() WHERE id = ID3", "was changed"),
        (
            """UPDATE auditlog_logentry SET additional_data = '{"by": "eve"}' WHERE id = ID3""",
            "changed",
        ),
        ("UPDATE auditlog_logentry SET changes = '{}' WHERE id = ID3", "was changed"),
        ("UPDATE auditlog_logentry SET action = 2 WHERE id = ID6", "was changed"),
        ("DELETE FROM auditlog_logentry WHERE id = ID3", "number 3, was deleted"),
        ("DELETE FROM auditlog_logentry WHERE id = ID6", "number 6, was deleted"),
        (
            "DELETE FROM auditlog_logentry WHERE id = ID3;"
            "DELETE FROM netraven_site_auditseal WHERE entry_id = ID3",
            "the seals 3 to 3 were deleted",
        ),
        (
            "DELETE FROM auditlog_logentry WHERE id = ID6;"
            "DELETE FROM netraven_site_auditseal WHERE entry_id = ID3;"
            "UPDATE netraven_site_auditseal SET sequence = 3 WHERE entry_id = ID4;"
            "UPDATE netraven_site_auditseal SET sequence = 4 WHERE entry_id = ID5",
            "number 3, was changed",
        ),
        ("DELETE FROM netraven_site_auditseal WHERE entry_id = ID6", "has no seal"),
        (
            "UPDATE netraven_site_auditseal SET digest = '\\x00' WHERE entry_id = ID3",
            "number 3, was changed",
        ),
        (
            "UPDATE netraven_site_auditseal SET sequence = 100 WHERE entry_id = ID2;"
            "UPDATE netraven_site_auditseal SET sequence = 2 WHERE entry_id = ID3;"
            "UPDATE netraven_site_auditseal SET sequence = 3 WHERE entry_id = ID2",
            "number 2, was changed",
        ),
        (
            "UPDATE netraven_site_auditseal SET sequence = NULL, digest = NULL"
            " WHERE entry_id = ID3",
            "the seals 3 to 3 were deleted",
        ),
    ],
)
def test_whatever_is_done_with_sql_is_noticed(ids: list[int], statement: str, words: str) -> None:
    sql(statement, ids)
    findings = verified()
    assert [one for one in findings.problems if words in one], findings.problems


def test_an_entry_that_was_put_in_past_the_trigger_is_noticed(ids: list[int]) -> None:
    sql("SET CONSTRAINTS ALL IMMEDIATE; DROP TRIGGER netraven_audit_seal ON auditlog_logentry")
    TagFactory.create(name="t6")
    assert "has no seal: it was put in" in verified().problems[0]


def test_an_entry_that_was_deleted_before_it_was_sealed_is_noticed(ids: list[int]) -> None:
    TagFactory.create(name="t6")
    sql("DELETE FROM auditlog_logentry WHERE id > ID6", ids)
    audit_seal()
    assert "deleted before it was sealed" in verified().problems[0]


def test_an_end_that_was_cut_off_is_noticed_by_the_head_of_before(ids: list[int]) -> None:
    head = verified().head
    sql("DELETE FROM auditlog_logentry WHERE id >= ID5", ids)
    sql("DELETE FROM netraven_site_auditseal WHERE sequence > 4")
    assert verified().problems == []
    assert "it was cut off" in verified(expected=head).problems[0]
    for number in range(2):
        TagFactory.create(name=f"later{number}")
    audit_seal()
    assert "written anew" in verified(expected=head).problems[0]


def test_without_the_key_nobody_makes_a_chain_that_fits(ids: list[int]) -> None:
    assert audit_verify(keys=["another key"]).problem_count == 6
    both = ["another key", settings.NETRAVEN.key("redaction_key")]
    assert audit_verify(keys=both).problem_count == 0


def test_deleting_a_user_leaves_their_deeds_sealed(ids: list[int]) -> None:
    user = UserFactory.create()
    LogEntry.objects.filter(pk=ids[0]).update(actor=user)
    assert verified().problem_count == 0
    User.objects.get(pk=user.pk).delete()
    audit_seal()
    assert verified().problem_count == 0


# --- When it is sealed --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_every_deed_is_sealed_when_it_is_committed() -> None:
    before = verified().sealed
    TagFactory.create(name="one")
    assert verified().sealed == verified().entries == before + 1
    with transaction.atomic():
        Tag.objects.create(name="two")
        Tag.objects.create(name="three")
        with pytest.raises(RuntimeError), transaction.atomic():
            Tag.objects.create(name="four")
            raise RuntimeError
    findings = verified()
    assert (findings.entries, findings.problem_count) == (before + 3, 0)
    assert findings.sealed == before + 3


@pytest.mark.django_db(transaction=True)
def test_one_chain_however_many_write_at_once() -> None:
    before = verified().sealed
    start = threading.Barrier(6)
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            start.wait(10)
            for number in range(5):
                with transaction.atomic():
                    Tag.objects.create(name=f"{name}-{number}")
                    Tag.objects.create(name=f"{name}-{number}-more")
        except BaseException as error:  # noqa: BLE001  # shown below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    findings = verified()
    assert (findings.sealed, findings.waiting, findings.problem_count) == (before + 60, 0, 0)


def checked() -> AuditCheck:
    audit_check()
    return AuditCheck.objects.get()


def test_the_nightly_check_keeps_its_verdict_and_tells_people_once(
    ids: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="netraven_site.audit_check")
    entry = settings.CELERY_BEAT_SCHEDULE["netraven-verify-audit"]
    assert (entry["task"], entry["options"]) == (verify_audit.name, {"queue": "control"})
    clean = checked()
    assert (clean.problem_count, clean.broken_since, clean.entries) == (0, None, 6)
    assert clean.head == verified().head
    target = NotificationTarget.objects.create(name="noc")
    rule = NotificationRule.objects.create(name="audit", events=[EventKind.AUDIT_BROKEN])
    rule.targets.add(target)
    assert notifications_collect() == 0

    sql("DELETE FROM auditlog_logentry WHERE id = ID2", ids)
    broken = checked()
    assert broken.problem_count == 1 and "was deleted" in broken.problem
    assert notifications_collect() == 1
    again = checked()
    assert again.broken_since == broken.broken_since
    assert notifications_collect() == 0
    event = NotificationEvent.objects.get()
    assert event.severity == Severity.CRITICAL and broken.problem in event.text

    names = [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]
    assert names == ["audit_log.verified", "audit_log.broken", "audit_log.broken"]
    assert "verify_audit" in " ".join(needs_a_hand(facts=system_facts()))
    assert b"netraven_audit_problems 1.0" in metrics_text()


def test_the_nightly_check_notices_that_the_end_was_cut_off(ids: list[int]) -> None:
    head = checked().head
    sql("DELETE FROM auditlog_logentry WHERE id = ID6", ids)
    sql("DELETE FROM netraven_site_auditseal WHERE entry_id = ID6", ids)
    assert "cut off" in checked().problem
    TagFactory.create(name="in its place")
    audit_seal()
    again = checked()
    assert "another seal" in again.problem and again.head == head


def test_seals_of_an_earlier_redaction_key_are_in_order_while_it_is_kept(
    ids: list[int], configure: Callable[..., None]
) -> None:
    old = settings.NETRAVEN.key("redaction_key")
    configure(redaction_key=SecretStr("another key of 16 or more"))
    assert checked().problem_count == 6
    configure(old_redaction_keys=SecretStr(f"one-that-never-was\n{old}\n"))
    assert (checked().problem_count, checked().broken_since) == (0, None)


@pytest.mark.django_db(transaction=True)
def test_a_sealing_that_fails_takes_nothing_with_it_and_is_made_good(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> str:
        raise RuntimeError("no key")

    with monkeypatch.context() as patch:
        patch.setattr("netraven_site.audit_seals.seal_key", broken)
        Tag.objects.create(name="one")
    assert Tag.objects.count() == 1 and verified().waiting == 1
    assert "no key" in caplog.text
    Tag.objects.create(name="two")
    findings = verified()
    assert (findings.waiting, findings.sealed) == (0, findings.entries)


# --- The command --------------------------------------------------------------------------------


def run(*options: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("verify_audit", *options, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_what_it_found(ids: list[int], tmp_path: Path) -> None:
    status, out = run()
    assert status == 0 and "6 entries, 6 sealed" in out and "nothing is wrong" in out
    head = out.partition("head: ")[2].split()[0]
    assert run("--expect", head)[0] == 0
    sql("DELETE FROM auditlog_logentry WHERE id = ID1", ids)
    status, out = run("--json")
    found: dict[str, Any] = json.loads(out)
    assert (status, found["ok"], found["problem_count"], found["head"]) == (1, False, 1, head)
    assert "number 1, was deleted" in run()[1]


def test_the_command_takes_keys_of_before(
    ids: list[int], tmp_path: Path, configure: Callable[..., None]
) -> None:
    old = tmp_path / "keys"
    old.write_text(f"{settings.NETRAVEN.key('redaction_key')}\n")
    configure(redaction_key=SecretStr("0" * 64))
    assert run()[0] == 1
    assert run("--old-keys", str(old))[0] == 0
    TagFactory.create(name="t6")
    audit_seal()
    assert run("--old-keys", str(old))[0] == 0
    for options in (("--old-keys", str(tmp_path / "none")), ("--expect", "x")):
        with pytest.raises(CommandError):
            run(*options)
