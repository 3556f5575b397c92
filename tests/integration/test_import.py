"""Importing devices: all or nothing, every bad line named, hostile files end in one line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from credentials.models import Tag
from inventory.formats import DeviceRecord
from inventory.imports import (
    ImportFailed,
    ImportFormat,
    ImportOptions,
    ImportResult,
    file_import,
)
from inventory.imports.names import Names
from inventory.models import Device, Zone
from tests.factories import DeviceFactory

pytestmark = pytest.mark.django_db

HEADER = "hostname,ip_address,port,platform,tags,zone,description"


def load(*lines: str, header: str = HEADER, dry_run: bool = False) -> ImportResult:
    text = "\n".join([header, *lines])
    return file_import(text=text, dry_run=dry_run)


def problems(*lines: str, header: str = HEADER) -> list[str]:
    with pytest.raises(ImportFailed) as caught:
        load(*lines, header=header)
    assert (Device.objects.count(), Tag.objects.count(), Zone.objects.count()) == (0, 0, 0)
    return caught.value.problems


def run_command(path: Path, *options: str) -> tuple[str, str, str]:
    """Standard output, standard error and the final error of the command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_devices", str(path), *options, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue(), str(error)
    return out.getvalue(), err.getvalue(), ""


def test_creates_devices_with_all_they_need() -> None:
    result = load('sw1,192.0.2.1,2222,cisco_ios,core;Site A;core,dmz,"Rack 3, top"')
    assert (result.created, result.updated) == (1, 0)
    device = Device.objects.get()
    assert (device.hostname, device.ip_address, device.port) == ("sw1", "192.0.2.1", 2222)
    assert (device.platform, device.description) == ("cisco_ios", "Rack 3, top")
    assert device.zone is not None and device.zone.name == "dmz"
    assert sorted(tag.name for tag in device.tags.all()) == ["Site A", "core"]


def test_updates_by_hostname_and_keeps_what_the_file_does_not_say() -> None:
    device = DeviceFactory.create(hostname="SW1", tags=["old"], port=2222, description="old")
    result = load("sw1,192.0.2.9,cisco_nxos", header="hostname,ip_address,platform")
    assert (result.created, result.updated) == (0, 1)
    device.refresh_from_db()
    assert (device.hostname, device.ip_address, device.platform) == (
        "SW1",
        "192.0.2.9",
        "cisco_nxos",
    )
    assert (device.port, device.description) == (2222, "old")
    assert [tag.name for tag in device.tags.all()] == ["old"]


def test_what_others_write_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    device = DeviceFactory.create(hostname="sw1", host_key="ssh-rsa OLD")

    def meanwhile(names: Names, planned: Device, record: DeviceRecord) -> None:
        Device.objects.filter(pk=planned.pk).update(host_key="ssh-rsa NEW", os_version="17.9")

    monkeypatch.setattr(Names, "set_relations", meanwhile)
    with CaptureQueriesContext(connection) as captured:
        load("sw1,192.0.2.9,22,cisco_ios,,,")
    stored = Device.objects.get()
    assert (stored.host_key, stored.os_version) == ("ssh-rsa NEW", "17.9")
    assert stored.ip_address == "192.0.2.9" and stored.updated_at > device.updated_at
    assert any('ORDER BY "inventory_device"."id" ASC FOR NO KEY' in one["sql"] for one in captured)


def _netbox(name: str) -> str:
    device = {"name": name, "primary_ip": {"address": "192.0.2.1/24"}, "platform": {"slug": "ios"}}
    return json.dumps([device])


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        (ImportFormat.NETBOX, _netbox("sw\x00"), "device 1"),
        (ImportFormat.NETBOX, _netbox("sw\ud800"), "device 1"),
        (ImportFormat.RANCID, "sw1;cisco;up\nsw\x002;cisco;up\n", "line 2"),
        (ImportFormat.RANCID, "sw1;cisco;up;caf\ud800\n", "line 1"),
        (ImportFormat.OXIDIZED, "sw1:ios\nsw2\ud800:ios\n", "line 2"),
    ],
)
def test_what_no_database_could_store_is_named_by_its_line(
    kind: ImportFormat, text: str, place: str
) -> None:
    with pytest.raises(ImportFailed) as caught:
        file_import(text=text, kind=kind, options=ImportOptions())
    [problem] = caught.value.problems
    assert problem.startswith(place) and problem.endswith("characters that are no text")
    assert problem.isprintable()


def test_an_empty_tag_or_zone_takes_it_away() -> None:
    load("sw1,192.0.2.1,,cisco_ios,core,dmz,")
    load("sw1,192.0.2.1,,cisco_ios,,,")
    device = Device.objects.get()
    assert device.tags.count() == 0
    assert device.zone is None


def test_every_bad_line_is_named_and_nothing_is_changed() -> None:
    found = problems(
        "good,192.0.2.1,22,cisco_ios,core,dmz,",
        "port0,192.0.2.1,0,cisco_ios,,,",
        "port70000,192.0.2.1,70000,cisco_ios,,,",
        "portabc,192.0.2.1,abc,cisco_ios,,,",
        "porthuge,192.0.2.1,99999999999999999999,cisco_ios,,,",
        "portarabic,192.0.2.1,٢٢,cisco_ios,,,",
        "GOOD,192.0.2.2,22,cisco_ios,,,",
        "odd,192.0.2.1,22,cisco_oss,,,",
        "zone,192.0.2.1,22,cisco_ios,,Bad Zone!,",
        "addr,1.2.3.999,22,cisco_ios,,,",
        ",192.0.2.1,22,cisco_ios,,,",
        "noaddr,,22,cisco_ios,,,",
        "two words,192.0.2.1,22,cisco_ios,,,",
        f"longtag,192.0.2.1,22,cisco_ios,{'t' * 65},,",
        f"longtext,192.0.2.1,22,cisco_ios,,,{'d' * 256}",
        f"{'h' * 256},192.0.2.1,22,cisco_ios,,,",
        "more,192.0.2.1,22,cisco_ios,,,,",
        "fewer,192.0.2.1",
        "nul,192.0.2.1,22,cisco_ios,,,a\x00b",
    )
    named = {line.partition(":")[0] for line in found}
    assert named == {f"line {number}" for number in range(3, 21)}
    text = "\n".join(found)
    for words in (
        "stands in line 2 already",
        "did you mean",
        "'abc' is no port",
        "zone: A zone name has",
        "tags: The tag name",
        "more values than columns",
        "fewer values than columns",
        "NUL character",
    ):
        assert words in text, words


def test_one_bad_line_does_not_blame_others_for_its_zone() -> None:
    found = problems("bad,nonsense address,22,cisco_ios,,dmz,", "good,192.0.2.1,22,cisco_ios,,dmz,")
    assert len(found) == 1 and found[0].startswith("line 2: ip_address")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "column 'hostname' is missing"),
        ("hostname,ip_address", "column 'platform' is missing"),
        ("hostname,ip_address,platform,colour", "there is no column 'colour'"),
        ("hostname,ip_address,platform,Hostname", "column 'hostname' stands twice"),
        ("hostname;ip_address;platform", "there is no column 'hostname;ip_address;platform'"),
        ("hostname,ip_address,platform,\x1b[31m", r"\x1b[31m"),
    ],
)
def test_wrong_columns(header: str, words: str) -> None:
    assert words in "\n".join(problems("a,192.0.2.1,cisco_ios,x", header=header))


def test_spreadsheet_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_bytes(
        b"\xef\xbb\xbf Hostname , IP_Address ,platform\r\n sw1 , 192.0.2.1 , cisco_ios \r\n\r\n"
        b'"sw2","192.0.2.2","cisco_ios"\r\n'
    )
    out, err, error = run_command(path)
    assert (out, err, error) == ("2 devices were created, 0 updated, 0 unchanged\n", "", "")


def test_dry_run_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text(f"{HEADER}\nsw1,192.0.2.1,22,cisco_ios,core,dmz,\n")
    out, _, error = run_command(path, "--dry-run")
    assert (out, error) == ("1 devices would be created, 0 updated, 0 unchanged\n", "")
    assert (Device.objects.count(), Tag.objects.count(), Zone.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "column 'hostname' is missing"),
        (HEADER.encode(), "the file has no devices"),
        (HEADER.encode() + b'\nsw1,"192.0.2.1,22,cisco_ios,,,\n', "not valid CSV"),
        (HEADER.encode() + b'\n"sw1"x,192.0.2.1,22,cisco_ios,,,\n', "not valid CSV"),
        (HEADER.encode() + b"\nsw1,192.0.2.1,22,cisco_ios,,,caf\xe9\n", "not UTF-8 text"),
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "not UTF-8 text"),
        (b"\x00" * 100, "column 'hostname' is missing"),
        ("hostname,ip_address,platform\n".encode("utf-16"), "not UTF-8 text"),
        (b"hostname,ip_address,platform\n" + b"x" * 200_000, "not valid CSV"),
    ],
    ids=[
        "empty",
        "header only",
        "open quote",
        "text after quote",
        "latin-1",
        "binary",
        "NULs",
        "utf-16",
        "huge field",
    ],
)
def test_files_that_are_no_device_list(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "devices.csv"
    path.write_bytes(content)
    out, err, error = run_command(path)
    assert out == ""
    assert words in err + error
    assert error.startswith(f"{path}: ") and ("nothing was imported" in error) == bool(err)
    assert Device.objects.count() == 0


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    assert run_command(tmp_path)[2] == f"{tmp_path}: Is a directory"
    assert run_command(tmp_path / "none")[2] == f"{tmp_path}/none: No such file or directory"


def test_tag_names_that_only_the_database_can_compare() -> None:
    load("sw1,192.0.2.1,22,cisco_ios,İstanbul;ΑΣ;Ärger,,")
    load("sw2,192.0.2.2,22,cisco_ios,İstanbul;ΑΣ;ärger,,")
    assert Tag.objects.count() == 3
    assert Device.objects.get(hostname="sw2").tags.count() == 3


def test_hostnames_that_only_the_database_can_compare() -> None:
    with pytest.raises(ImportFailed, match="1 problems"):
        load("İx,192.0.2.1,22,cisco_ios,,,", "ix,192.0.2.1,22,cisco_ios,,,")


def _lines(numbers: Iterable[int]) -> list[str]:
    return [f"sw{n},10.0.{n // 250}.{n % 250},22,cisco_ios,core;s{n % 9},dmz," for n in numbers]


def test_queries_grow_with_a_few_for_each_device() -> None:
    load(*_lines(range(9)))
    counts = []
    for numbers in (range(100, 110), range(200, 230)):
        with CaptureQueriesContext(connection) as captured:
            load(*_lines(numbers))
        counts.append(len(captured))
    assert (counts[1] - counts[0]) / 20 <= 8, "two of them for the audit log"


@pytest.mark.slow
def test_thousands_of_devices() -> None:
    assert load(*_lines(range(3_000))).created == 3_000


class AnyFile(TestCase):
    """Whatever stands in a file, the answer is a result or a list of problems."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.lists(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
                | st.sampled_from(["sw1", "192.0.2.1", "22", "cisco_ios", "", "a;b", '"']),
                min_size=2,
                max_size=8,
            ),
            max_size=4,
        )
    )
    def test_is_imported_or_explained(self, rows: list[list[str]]) -> None:
        lines = [",".join(row) for row in rows]
        try:
            load(*lines)
        except ImportFailed as failed:
            assert failed.problems
            assert Device.objects.count() == 0
