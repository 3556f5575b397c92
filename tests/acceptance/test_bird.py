"""A real BIRD router, read over real OpenSSH with the files that the daemon runs on."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.pipeline import BackupOutcome
from backups.engine.types import RedactedConfig
from inventory.platforms import get_platform
from inventory.platforms.definition import Fact
from tests.acceptance.host import Host, running_host
from tests.acceptance.lab import Login, canary
from tests.support import bird, openssh
from tests.support.bird import Bird

pytestmark = [pytest.mark.bird, pytest.mark.slow]

_SHELL = Path("/bin/bash")
_TOKEN = re.compile(r"<redacted:[0-9a-f]{8}>")
_PEERS = "peers/exchange.conf"
_MAIN = """\
log stderr all;
router id 192.0.2.1;
include "/etc/bird/peers/*.conf";
protocol device {{
}}
protocol ospf v2 core {{
	ipv4 {{ import all; }};
	area 0 {{
		interface "eth0" {{
			authentication cryptographic;
			password "{ospf}" {{ id 1; algorithm hmac sha256; }};
		}};
	}};
}}
"""
_PEER = """\
protocol bgp edge {{
	description "uplink, password is in the vault";
	local 192.0.2.1 as 65001;
	neighbor 192.0.2.2 as 65002;
	password "{bgp}";
	ipv4 {{ import all; export none; }};
}}
"""


@dataclass(frozen=True, kw_only=True)
class Router:
    bird: Bird
    host: Host
    #: Secrets of its configuration.
    ospf: str
    bgp: str

    def text(self, *, ospf: str, bgp: str) -> str:
        """What is stored of it, with these words in place of its secrets."""
        return (
            f"==> /etc/bird/bird.conf <==\n{_MAIN.format(ospf=ospf)}\n"
            f"==> /etc/bird/{_PEERS} <==\n{_PEER.format(bgp=bgp)}"
        )


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """The router, running and configured."""
    reason = bird.missing() or openssh.missing()
    if reason is not None:
        pytest.skip(reason)
    ospf, bgp = canary("Ospf"), canary("Bgp")
    daemon = Bird(tmp_path_factory.mktemp("router") / "bird")
    daemon.write("bird.conf", _MAIN.format(ospf=ospf))
    daemon.write(_PEERS, _PEER.format(bgp=bgp))
    with daemon.running(), account(daemon, group=bird.GROUP) as host:
        yield Router(bird=daemon, host=host, ospf=ospf, bgp=bgp)


def account(daemon: Bird, *, group: str) -> AbstractContextManager[Host]:
    """An account on the router."""
    login = Login(password=canary("Login"))
    return running_host("bird", shell=_SHELL, group=group, login=login, launcher=daemon.namespace)


def trusted(outcome: BackupOutcome) -> RedactedConfig:
    assert outcome.suspicions == ()
    assert outcome.notes == ()
    assert outcome.config is not None
    return outcome.config


def test_router_is_trusted_and_read_alike_twice(router: Router) -> None:
    assert trusted(router.host.back_up()) == trusted(router.host.back_up())


def test_every_file_is_stored_and_no_secret(router: Router) -> None:
    outcome = router.host.back_up()
    text = trusted(outcome).text
    assert _TOKEN.sub("<>", text) == router.text(ospf="<>", bgp="<>")
    raw = router.host.printed(get_platform("bird").commands[0].command)
    assert outcome.raw == raw
    assert raw.decode().replace("\r\n", "\n") == router.text(ospf=router.ospf, bgp=router.bgp)


def test_release_is_found(router: Router) -> None:
    said = subprocess.run(["bird", "--version"], capture_output=True, text=True, check=True)
    # "BIRD version 2.0.12", which some releases print on standard error.
    version = (said.stdout + said.stderr).split()[-1]
    assert router.host.back_up().facts[Fact.OS_VERSION] == version


def test_new_key_changes_its_line_alone(router: Router) -> None:
    before = trusted(router.host.back_up()).text.splitlines()
    router.bird.write(_PEERS, _PEER.format(bgp=canary("Bgp")))
    try:
        router.bird.configure()
        after = trusted(router.host.back_up()).text.splitlines()
    finally:
        router.bird.write(_PEERS, _PEER.format(bgp=router.bgp))
        router.bird.configure()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    ((old, new),) = changed
    for line in (old, new):
        assert re.fullmatch(rf'\tpassword "{_TOKEN.pattern}";', line)


def test_file_that_cannot_be_read_makes_the_output_suspect(router: Router) -> None:
    router.bird.write("peers/hidden.conf", "# root's own\n", mode=0o600)
    try:
        outcome = router.host.back_up()
    finally:
        router.bird.remove("peers/hidden.conf")
    assert outcome.config is None
    assert outcome.suspicions == (
        "The output ends with an error of the device: tail: not all files could be read",
    )


def test_account_outside_the_group_is_told_why(router: Router) -> None:
    with account(router.bird, group="users") as stranger, pytest.raises(DeviceError) as caught:
        stranger.back_up()
    assert caught.value.category is ErrorCategory.COMMAND_REJECTED
    assert "Permission denied" in caught.value.message
