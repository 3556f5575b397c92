"""Many detections at once with one credential: no account is locked out by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from credentials.models import Credential
from credentials.services import credential_save
from inventory.models import CredentialUse, Device
from jobs.launch import request_detection
from jobs.models import DetectionState, PlatformDetection
from jobs.queues import DEVICES_QUEUE
from jobs.services.detection import detection_create, detection_run
from tests.factories import CredentialFactory, DeviceFactory, PlatformDetectionFactory
from tests.support.devices import ThreadedFleet, device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device
from tests.support.waiting import wait_for
from tests.support.worker_in_process import worker_in_process

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "Zq9-CANARY-detection"
DEVICES = 8


@pytest.fixture
def fleet() -> Iterator[ThreadedFleet]:
    """Devices that refuse the only credential they have in the inventory."""
    specs = [device_spec("cisco_ios", f"r{number}", password=PASSWORD) for number in range(DEVICES)]
    add_credential(device_spec("cisco_ios", "wrong", password=f"{PASSWORD}-wrong"), name="wrong")
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        yield fleet


def attempts(fleet: ThreadedFleet) -> int:
    return sum(fleet.log(f"r{number}")["login_attempts"] for number in range(DEVICES))


def wrong() -> Credential:
    return Credential.objects.get(name="wrong")


def others_are_running(count: int, *, minutes: int = 0) -> list[PlatformDetection]:
    """Detections of other devices with the credential, which began so many minutes ago."""
    return [
        _detection(
            state=DetectionState.RUNNING,
            started_at=timezone.now() - timedelta(minutes=minutes),
            finished_at=None,
        )
        for _ in range(count)
    ]


def has_refused(credential: Credential | None = None) -> None:
    """Another device has just refused it."""
    _detection(
        state=DetectionState.FAILED,
        error_category="authentication",
        credential=credential or wrong(),
    )


def _detection(**fields: object) -> PlatformDetection:
    nothing: dict[str, object] = {"certainty": "", "platform": "", "evidence": [], "facts": {}}
    return PlatformDetectionFactory.create(**{"credential": wrong(), **nothing, **fields})


def run_one() -> PlatformDetection:
    """The detection of one device, run in this process to its end."""
    detection = detection_create(device=Device.objects.get(hostname="r0"))
    assert detection_run(detection_id=detection.pk)
    detection.refresh_from_db()
    return detection


@pytest.mark.usefixtures("git_directory")
def test_workers_try_a_wrong_password_no_more_often_than_a_run_would(fleet: ThreadedFleet) -> None:
    with worker_in_process(DEVICES_QUEUE, concurrency=DEVICES):
        for device in Device.objects.all():
            request_detection(device=device)
        wait_for(
            lambda: not PlatformDetection.objects.filter(finished_at=None).exists(),
            "the end of all detections",
        )
    categories = list(PlatformDetection.objects.values_list("error_category", flat=True))
    assert sorted(categories) == ["authentication"] * 3 + ["credential_set_aside"] * 5
    assert attempts(fleet) == 3
    aside = PlatformDetection.objects.filter(error_category="credential_set_aside").first()
    assert aside is not None and aside.credential == wrong()
    assert "'wrong' was not tried" in aside.error_message
    assert "3 devices in a row refused it" in aside.error_message


@pytest.mark.usefixtures("fleet")
def test_a_detection_waits_while_enough_others_try_an_unproven_credential() -> None:
    others = others_are_running(3)
    detection = detection_create(device=Device.objects.get(hostname="r0"))
    assert not detection_run(detection_id=detection.pk)
    detection.refresh_from_db()
    assert (detection.state, detection.credential) == (DetectionState.PENDING, None)
    others[0].delete()
    assert detection_run(detection_id=detection.pk)


@pytest.mark.usefixtures("fleet")
def test_a_detection_that_lost_its_worker_holds_nobody_up() -> None:
    others_are_running(3, minutes=11)
    assert run_one().error_category == "authentication"


@pytest.mark.usefixtures("fleet")
def test_a_backup_that_succeeded_proves_a_credential() -> None:
    others_are_running(5)
    CredentialUse.objects.create(
        device=DeviceFactory.create(), credential=wrong(), last_success_at=timezone.now()
    )
    assert run_one().error_category == "authentication"


def test_refusals_of_another_credential_or_that_came_before_a_correction_do_not_count(
    fleet: ThreadedFleet,
) -> None:
    for _ in range(3):
        has_refused(CredentialFactory.create())
    has_refused()
    PlatformDetectionFactory.create(credential=wrong())
    has_refused()
    has_refused()
    assert run_one().error_category == "authentication"
    assert run_one().error_category == "credential_set_aside"
    credential_save(credential=wrong(), secrets={"password": PASSWORD})
    assert run_one().state == DetectionState.DONE
    assert attempts(fleet) >= 2


@pytest.mark.usefixtures("fleet")
def test_the_guard_can_be_switched_off(configure: Callable[..., None]) -> None:
    configure(lockout_devices=0)
    for _ in range(5):
        has_refused()
    assert run_one().error_category == "authentication"


@pytest.mark.usefixtures("fleet")
def test_the_command_says_that_the_credential_was_set_aside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(3):
        has_refused()
    with pytest.raises(Exception, match=r"r0: credential_set_aside: 'wrong' was not tried"):
        call_command("detect_platform", "r0")
    assert "r0: this process connects" in capsys.readouterr().out
