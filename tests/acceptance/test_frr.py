"""Real FRRouting routers over real OpenSSH, backed up as an operator does it.

Every test leaves the routers reachable, and backed up as they are.
"""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest

from netraven_site.stack.state import StackState
from tests.acceptance.conftest import Backups
from tests.acceptance.lab import Lab, Router, canary
from tests.support.openssh import KeyPair

pytestmark = [pytest.mark.frr, pytest.mark.slow]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKEN = re.compile(r"<redacted:[0-9a-f]{8}>")


def by_hostname(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["hostname"]: row for row in run["results"]}


def changed_lines(diff: str) -> list[str]:
    """The added and removed lines of a unified diff."""
    return [line for line in diff.splitlines()[2:] if line[:1] in {"+", "-"}]


def test_the_first_run_backs_up_every_router(backups: Backups, lab: Lab) -> None:
    run = backups.first
    assert run["status"] == "COMPLETED_SUCCESS", run
    assert run["devices"] == {
        "total": 3,
        "succeeded": 3,
        "failed": 0,
        "errored": 0,
        "suspect": 0,
        "skipped": 0,
    }
    assert set(by_hostname(run)) == {router.hostname for router in lab.routers}
    for row in run["results"]:
        assert row["config_changed"] is True
        assert row["attempts"] == 1
        assert _COMMIT.fullmatch(row["commit"])


def test_each_router_was_entered_in_its_own_way(backups: Backups, lab: Lab) -> None:
    ways = {"edge1": "password", "branch1": "password", "core1": "publickey"}
    for router in lab.routers:
        entered = f"Accepted {ways[router.hostname]} for {router.login.account} "
        assert entered in router.sshd.log()


def test_an_unchanged_router_makes_no_revision(backups: Backups) -> None:
    before = by_hostname(backups.run())
    after = by_hostname(backups.run())
    assert {row["config_changed"] for row in after.values()} == {False}
    assert {name: row["commit"] for name, row in before.items()} == {
        name: row["commit"] for name, row in after.items()
    }


def test_the_diff_shows_exactly_the_change(backups: Backups, lab: Lab) -> None:
    lab.core.frr.configure(
        "no bgp community-list standard CUSTOMER-700 seq 5 permit 65001:700",
        "ip route 198.51.100.0/24 blackhole",
        *("router bgp 65001", " neighbor 192.0.2.1 description to the edge", "exit"),
    )
    run = backups.run()
    assert run["status"] == "COMPLETED_SUCCESS"
    changed = {name for name, row in by_hostname(run).items() if row["config_changed"]}
    assert changed == {"core1"}
    assert changed_lines(backups.config("diff", "core1")) == [
        "+ip route 198.51.100.0/24 blackhole",
        "+!",
        "+ neighbor 192.0.2.1 description to the edge",
        "-bgp community-list standard CUSTOMER-700 seq 5 permit 65001:700",
    ]
    history = json.loads(backups.config("history", "core1", "--json"))["revisions"]
    assert history[0]["commit"] == by_hostname(run)["core1"]["commit"]
    assert (history[0]["lines_added"], history[0]["lines_removed"]) == (3, 1)


def test_a_new_key_is_a_new_token(backups: Backups, lab: Lab) -> None:
    key = canary("Bgp")
    lab.edge.frr.configure("router bgp 65001", f" neighbor 192.0.2.3 password {key}", "exit")
    lab.edge.configured.add(key)
    assert by_hostname(backups.run())["edge1"]["config_changed"] is True
    removed, added = changed_lines(backups.config("diff", "edge1"))
    for sign, line in (("-", removed), ("+", added)):
        assert re.fullmatch(rf"\{sign} neighbor 192\.0\.2\.3 password {_TOKEN.pattern}", line)
    assert removed[1:] != added[1:]


def test_a_shared_key_is_one_token(backups: Backups, lab: Lab) -> None:
    key = canary("Bgp")
    for router, neighbor in ((lab.edge, "192.0.2.3"), (lab.core, "192.0.2.1")):
        router.frr.configure("router bgp 65001", f" neighbor {neighbor} password {key}", "exit")
        router.configured.add(key)
    backups.run()
    found = json.loads(backups.config("search", r"^ neighbor \S+ password", "--json"))["devices"]
    tokens = {entry["hostname"]: _TOKEN.findall(entry["matches"][0]["text"]) for entry in found}
    assert tokens["edge1"] == tokens["core1"]
    assert len(tokens["edge1"]) == 1


def test_what_is_shown_differs_in_nothing_but_secrets(backups: Backups, lab: Lab) -> None:
    for router in lab.routers:
        printed = router.printed_config().decode().replace("\r\n", "\n")
        expected = printed.removeprefix("Building configuration...\n\nCurrent configuration:\n")
        assert expected != printed
        for secret in router.secrets():
            expected = re.sub(rf"(?<=\s){re.escape(secret)}$", "<>", expected, flags=re.MULTILINE)
        assert expected.count("<>") >= 1
        assert _TOKEN.sub("<>", backups.config("show", router.hostname)) == expected


def test_the_archive_gives_back_the_exact_output(backups: Backups, lab: Lab) -> None:
    """Byte for byte, with the CR LF that the terminal makes of each LF of vtysh."""
    for router in lab.routers:
        reason = f"rebuild of {router.hostname}"
        shown = backups.up.command_bytes(
            "config", "show", router.hostname, "--raw", "--reason", reason
        )
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout == router.printed_config()
        assert shown.stdout == router.frr.running_config().encode().replace(b"\n", b"\r\n")
        assert readings(backups, reason) == [(router.hostname, "command line (root)")]


def test_nobody_reads_the_archive_without_a_reason(backups: Backups) -> None:
    before = readings(backups, "%")
    for reason in ([], ["--reason", "  "]):
        refused = backups.up.command("config", "show", "edge1", "--raw", *reason)
        assert refused.returncode != 0
        assert refused.stdout == ""
        assert refused.stderr.startswith("CommandError: --raw needs --reason")
        assert len(refused.stderr.splitlines()) == 1
    assert readings(backups, "%") == before


def readings(backups: Backups, reason: str) -> list[tuple[str, str]]:
    """Device and reader of the audit's rows with this reason (SQL ``LIKE``)."""
    state = StackState.read(backups.up.data_dir)
    assert state is not None
    with psycopg.connect(state.database_url) as connection:
        rows = connection.execute(
            "SELECT device.hostname, reader FROM backups_archivereading reading"
            " JOIN backups_archive archive ON archive.id = archive_id"
            " JOIN inventory_device device ON device.id = device_id"
            " WHERE reason LIKE %s ORDER BY reading.id",
            [reason],
        )
        return list(rows.fetchall())


def test_a_router_that_is_down_harms_no_other(backups: Backups, lab: Lab) -> None:
    lab.branch.sshd.stop()
    try:
        run = backups.run(expected_exit=1)
    finally:
        lab.branch.sshd.start()
    assert run["status"] == "COMPLETED_PARTIAL_FAILURE"
    results = by_hostname(run)
    down = results.pop("branch1")
    assert (down["status"], down["error_category"]) == ("FAILED", "connection_refused")
    assert down["attempts"] == 3
    assert down["commit"] is None
    assert {row["status"] for row in results.values()} == {"SUCCEEDED"}


def test_an_impostor_gets_no_password(backups: Backups, lab: Lab) -> None:
    log_before, key = lab.edge.sshd.log(), lab.edge.sshd.host_key
    assert asked_to_enter(lab.edge, log_before)
    try:
        restart_with(lab.edge, KeyPair())
        run = backups.run(expected_exit=1)
        log = lab.edge.sshd.log().removeprefix(log_before)
    finally:
        restart_with(lab.edge, key)
    refused = by_hostname(run)["edge1"]
    assert (refused["status"], refused["error_category"]) == ("FAILED", "host_key")
    assert refused["attempts"] == 1
    assert "Connection from 127.0.0.1" in log
    assert not asked_to_enter(lab.edge, log)
    assert by_hostname(backups.run())["edge1"]["status"] == "SUCCEEDED"


def restart_with(router: Router, key: KeyPair) -> None:
    router.sshd.stop()
    router.sshd.use_host_key(key)
    router.sshd.start()


def asked_to_enter(router: Router, log: str) -> bool:
    """Whether a client went as far as to name the user, which comes before any password."""
    return f"userauth-request for user {router.login.account}" in log
