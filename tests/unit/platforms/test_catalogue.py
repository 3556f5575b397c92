"""The platforms that come along."""

from __future__ import annotations

import pytest
from netmiko.ssh_dispatcher import platforms as netmiko_platforms

from inventory.platforms import UnknownPlatform, get_platform, platform_names

EXPECTED = {
    "arista_eos", "cisco_ios", "cisco_nxos", "cisco_xe", "frr", "juniper_junos", "linux", "vyos",
}  # fmt: skip


def test_all_platforms_are_there() -> None:
    assert set(platform_names()) >= EXPECTED


@pytest.mark.parametrize("name", platform_names())
def test_definition_is_usable(name: str) -> None:
    definition = get_platform(name)
    assert definition.name == name
    assert definition.driver in netmiko_platforms
    assert definition.commands
    assert definition.redaction
    assert definition.error_patterns


def test_unknown_platform_names_the_near_ones() -> None:
    with pytest.raises(UnknownPlatform, match=r"'cisco_ois'.*did you mean .*cisco_ios"):
        get_platform("cisco_ois")
    with pytest.raises(UnknownPlatform, match="there are: arista_eos"):
        get_platform("???")
