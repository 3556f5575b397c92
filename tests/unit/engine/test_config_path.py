"""Paths inside the Git store: safe for any name, unique for any two devices."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backups.engine.config_path import config_path, is_config_path

DEVICE_IDS = st.integers(min_value=1, max_value=2**63 - 1)
WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows",
    ".git",
    ".GIT",
    ".git/hooks/post-commit",
    "git~1",
    ".gitmodules",
    "a\nb",
    "a\0b",
    "-rf",
    "--upload-pack=touch",
    "~root",
    "C:\\x",
    "CON",
    "con.example.net",
    "nul",
    "LPT1.cfg",
    "a" * 5000,
    "." * 500,
    "sw1 ",
    "東京",
    "Zürich-Süd",
    "a\u202eb",
    "\ud800",
    "<script>",
    "$(touch x)",
    "sw1~42.cfg",
]


@pytest.mark.parametrize(
    ("hostname", "device_id", "path"),
    [
        ("core-sw1", 42, "73/core-sw1~42.cfg"),
        ("core-sw1.example.net", 42, "73/core-sw1.example.net~42.cfg"),
        ("Zürich-Süd", 1, "6b/Zurich-Sud~1.cfg"),
        ("東京", 1, "6b/device~1.cfg"),
        ("", 2, "d4/device~2.cfg"),
        ("../../etc/passwd", 7, "79/etc-passwd~7.cfg"),
        ("con.example.net", 7, "79/_con.example.net~7.cfg"),
        ("_lab_", 7, "79/_lab_~7.cfg"),
    ],
)
def test_paths_never_change_between_releases(hostname: str, device_id: int, path: str) -> None:
    assert config_path(hostname, device_id) == path


@given(hostname=st.text(), device_id=DEVICE_IDS)
def test_any_name_gives_a_safe_path(hostname: str, device_id: int) -> None:
    assert_safe(config_path(hostname, device_id), device_id)


@pytest.mark.parametrize("hostname", HOSTILE_NAMES)
def test_hostile_names_give_a_safe_path(hostname: str) -> None:
    assert_safe(config_path(hostname, 1), 1)


def assert_safe(path: str, device_id: int) -> None:
    assert is_config_path(path)
    assert len(path) <= 92
    shard, _, name = path.partition("/")
    assert re.fullmatch("[0-9a-f]{2}", shard)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*~[0-9]+\.cfg", name)
    assert name.endswith(f"~{device_id}.cfg")
    assert not WINDOWS_RESERVED.fullmatch(name)


@given(first=st.text(), second=st.text(), ids=st.lists(DEVICE_IDS, min_size=2, max_size=2))
@example(first="SW1", second="sw1", ids=[1, 2])
@example(first="sw1", second="sw1", ids=[1, 11])
@example(first="a/b", second="a-b", ids=[4, 5])
def test_two_devices_never_share_a_path_even_without_case(
    first: str, second: str, ids: list[int]
) -> None:
    same = config_path(first, ids[0]).casefold() == config_path(second, ids[1]).casefold()
    assert not same or ids[0] == ids[1]


def test_devices_spread_over_the_folders() -> None:
    folders = [config_path("sw", device_id)[:2] for device_id in range(1, 5001)]
    assert len(set(folders)) == 256
    assert max(folders.count(folder) for folder in set(folders)) < 50


@pytest.mark.parametrize("device_id", [0, -1, 2**63])
def test_an_impossible_device_id_is_refused(device_id: int) -> None:
    with pytest.raises(ValueError, match="device id"):
        config_path("sw1", device_id)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "core.cfg",
        "3f/../../x~1.cfg",
        "3f//core~1.cfg",
        "3f/.git~1.cfg",
        "3f/-x~1.cfg",
        "3F/core~1.cfg",
        "3f/core~01.cfg",
        "3f/core~1.cfg\n",
        "/3f/core~1.cfg",
        "3f/a/b~1.cfg",
        "3f/core~1.cfg:HEAD",
    ],
)
def test_other_paths_are_recognised(path: str) -> None:
    assert not is_config_path(path)
