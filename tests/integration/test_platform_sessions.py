"""Every platform read twice over real SSH from a device that plays its ``CASE.session.toml``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from backups.engine.collector import SessionLimits
from backups.engine.completeness import answer_of, suspicions
from backups.engine.errors import DeviceError
from backups.engine.findings import attribution, facts, unsaved
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.outputs import by_role, running_content
from backups.engine.redaction import Redactor
from backups.engine.types import Collection, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import get_platform
from inventory.platforms.definition import Fact, PlatformDefinition, Role
from tests.support.scripted_device import ENABLE_SECRET, PASSWORD, USERNAME, ScriptedPlayer
from tests.support.scripted_device_script import SUFFIX, Expect, load_script
from tests.unit.redaction.test_fixtures import FOLDER, KEY, read

CASES = sorted(
    str(path.relative_to(FOLDER)).removesuffix(SUFFIX) for path in FOLDER.glob(f"*/*{SUFFIX}")
)
#: Netmiko waits for fixed times, so many sessions at once cost no more than a few.
SESSIONS_AT_ONCE = 16
RESULT_SECONDS = 150
LIMITS = SessionLimits(
    connect_timeout=10,
    login_timeout=20,
    command_timeout=10,
    deadline=60,
    max_output_bytes=2_000_000,
    allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),),
)
REDACTOR = Redactor(KEY)


@dataclass(frozen=True, slots=True)
class Reading:
    """The same device, read twice."""

    first: Collection
    second: Collection


def platform_of(case: str) -> PlatformDefinition:
    return get_platform(case.split("/")[0])


def read_twice(player: ScriptedPlayer, case: str) -> Reading:
    recording = load_script(FOLDER / f"{case}{SUFFIX}")
    device = player.play(recording)
    platform = platform_of(case)
    credential = DeviceCredential(
        name="lab",
        username=USERNAME,
        password=PASSWORD,
        enable_secret=ENABLE_SECRET if recording.script.enable else None,
    )
    target = DeviceTarget(
        device_id=1,
        hostname=case,
        address=device.host,
        port=device.port,
        platform=platform.name,
    )

    def collect() -> Collection:
        return NetmikoCollector().collect(target, credential, platform, LIMITS)

    try:
        return Reading(collect(), collect())
    except DeviceError as error:
        error.add_note(f"the collector typed: {device.sessions}")
        raise


@pytest.fixture(scope="module")
def readings(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Reading]]]:
    """The readings of the selected cases, all under way at once."""
    wanted = {
        str(item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    }
    with ScriptedPlayer() as player, ThreadPoolExecutor(SESSIONS_AT_ONCE) as pool:
        yield {case: pool.submit(read_twice, player, case) for case in sorted(wanted)}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def reading(readings: Mapping[str, Future[Reading]], case: str) -> Reading:
    return readings[case].result(RESULT_SECONDS)


def stored(platform: PlatformDefinition, collection: Collection) -> str:
    text = running_content(platform, collection.outputs)
    return REDACTOR.redact(platform, text).text


@pytest.mark.parametrize("case", CASES)
def test_device_is_stored_as_expected(reading: Reading, case: str) -> None:
    assert stored(platform_of(case), reading.first) == read(case, "expected")


@pytest.mark.parametrize("case", CASES)
def test_unchanged_device_gives_the_same_text_again(reading: Reading, case: str) -> None:
    platform = platform_of(case)
    assert stored(platform, reading.second) == stored(platform, reading.first)


@pytest.mark.parametrize("case", CASES)
def test_configuration_is_trusted_and_no_command_failed(reading: Reading, case: str) -> None:
    platform = platform_of(case)
    for collection in (reading.first, reading.second):
        running = by_role(collection.outputs, Role.RUNNING)
        assert suspicions(platform, [answer_of(platform, output) for output in running]) == []
        assert collection.notes == ()


@pytest.mark.parametrize("case", CASES)
def test_what_the_device_says_of_itself_is_found(reading: Reading, case: str) -> None:
    platform, outputs = platform_of(case), reading.first.outputs
    known = facts(platform, outputs)
    change = attribution(platform, outputs)
    found = Expect(
        model=known.get(Fact.MODEL),
        serial_number=known.get(Fact.SERIAL_NUMBER),
        os_version=known.get(Fact.OS_VERSION),
        # An empty user or time is one that the device does not name.
        changed_by=(change.user or None) if change else None,
        changed_at=(change.time or None) if change else None,
        unsaved=unsaved(platform, outputs),
    )
    assert found == load_script(FOLDER / f"{case}{SUFFIX}").script.expect
