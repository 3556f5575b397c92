"""Backups whose text is the last one: not redacted again, and stored like all others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backups.engine.pipeline import BackupOutcome, KnownConfig, back_up
from backups.engine.redaction import Redactor
from backups.models import Archive, Snapshot, SnapshotState
from backups.services.sessions import backup_request
from backups.services.store import RunLabel, backup_store
from credentials.secret import DeviceCredential
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome
from tests.unit.test_pipeline import KEY, Replay, answer, config

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

LABEL = RunLabel(run_id=1, job_name="nightly")
CREDENTIAL = DeviceCredential(name="lab", username="u", password="CANARY-pass-1")


def back_up_once(device: Device, payload: bytes) -> tuple[BackupOutcome, Snapshot | None]:
    """One session with ``device``, from what the database knows to what it knows then."""
    request = backup_request(device=device, credential=CREDENTIAL)
    collector = Replay(answer(payload))
    outcome = back_up(request, collector=collector, redactor=Redactor(KEY), digest_key=KEY)
    return outcome, backup_store(device=device, outcome=outcome, label=LABEL)


def lost(device: Device) -> None:
    Snapshot.objects.filter(device=device).update(
        state=SnapshotState.LOST, commit="c" * 40, pending_text=""
    )


def corrected(device: Device) -> None:
    Snapshot.objects.filter(device=device).update(content_sha256="0" * 64)


def test_a_device_that_did_not_change_is_redacted_once() -> None:
    device = DeviceFactory.create(platform="cisco_ios")
    redacted = [back_up_once(device, config())[0].known is None for _ in range(3)]
    assert redacted == [True, False, False]
    snapshot = Snapshot.objects.get()
    assert snapshot.read_count == 3
    assert Archive.objects.count() == 1


def test_what_was_redacted_by_other_rules_is_redacted_once_more() -> None:
    """After an upgrade: the text is the same, and from then on it is known again."""
    device = DeviceFactory.create(platform="cisco_ios")
    back_up_once(device, config())
    Snapshot.objects.update(source_digest="0" * 64)
    redacted = [back_up_once(device, config())[0].known is None for _ in range(2)]
    assert redacted == [True, False]
    assert Snapshot.objects.get().read_count == 3


@pytest.mark.parametrize(
    ("alter", "states"), [(lost, ["PENDING"]), (corrected, ["PENDING", "PENDING"])]
)
def test_a_known_text_that_is_gone_meanwhile_is_redacted_after_all(
    alter: Callable[[Device], None], states: list[str]
) -> None:
    """A repair runs while the device is read."""
    device = DeviceFactory.create(platform="cisco_ios")
    text = back_up_once(device, config())[0].config
    request = backup_request(device=device, credential=CREDENTIAL)
    alter(device)
    collector = Replay(answer(config()))
    outcome = back_up(request, collector=collector, redactor=Redactor(KEY), digest_key=KEY)
    assert outcome.known is not None
    newest = backup_store(device=device, outcome=outcome, label=LABEL)
    assert newest is not None and text is not None
    assert newest.pending_text == text.text
    assert list(Snapshot.objects.values_list("state", flat=True)) == states


def test_a_change_that_redaction_hides_is_archived() -> None:
    device = DeviceFactory.create(platform="cisco_ios")
    short = [config().replace(b"CANARY-community", value) for value in (b"abc", b"xyz")]
    known = [back_up_once(device, payload)[0].known for payload in short]
    assert known == [None, None]
    assert (Snapshot.objects.count(), Archive.objects.count()) == (1, 2)


def test_a_known_text_is_no_suspect() -> None:
    device = DeviceFactory.create()
    first = backup_store(device=device, outcome=backup_outcome(), label=LABEL)
    assert first is not None

    def never() -> None:
        raise AssertionError("redacted although it stands there")

    known = KnownConfig(content_sha256=first.content_sha256, redacted=never)  # type: ignore[arg-type]
    outcome = backup_outcome(suspicions=("x",), known=known)
    assert backup_store(device=device, outcome=outcome, label=LABEL) == first
