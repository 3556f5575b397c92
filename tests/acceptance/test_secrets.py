"""No secret of a router is anywhere but in the archive and in the sealed credentials."""

from __future__ import annotations

import base64
import http
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from netraven_site.stack.state import StackState
from tests.acceptance.conftest import Backups
from tests.acceptance.lab import Lab, canary
from tests.support.leaks import Secrets, Watch, watched_redis
from tests.support.up import Up

pytestmark = [pytest.mark.frr, pytest.mark.slow]


@pytest.fixture(scope="module")
def state(up: Up) -> StackState:
    """Where the servers of the stack are."""
    state = StackState.read(up.data_dir)
    assert state is not None
    return state


@pytest.fixture(scope="module")
def redis_traffic(backups: Backups, lab: Lab, state: StackState) -> bytes:
    """What went through Redis while routers were read, with a change and with a failure."""
    with watched_redis(state.redis_url) as watch:
        for router in lab.routers:
            key = canary("Bgp")
            router.frr.configure(
                *("router bgp 65001", " neighbor 192.0.2.9 remote-as 65009"),
                *(f" neighbor 192.0.2.9 password {key}", "exit"),
            )
            router.configured.add(key)
        assert backups.run()["status"] == "COMPLETED_SUCCESS"
        lab.edge.sshd.stop()
        try:
            assert backups.run(expected_exit=1)["status"] == "COMPLETED_PARTIAL_FAILURE"
        finally:
            lab.edge.sshd.start()
    return watch.text()


@pytest.fixture(scope="module")
def secrets(redis_traffic: bytes, lab: Lab) -> Secrets:
    """All of them, after they have been through everything."""
    return Secrets(lab.secrets())


def test_the_routers_really_print_them(lab: Lab, secrets: Secrets) -> None:
    """What is looked for is what the routers print, so that finding nothing means something."""
    printed = b"\n".join(router.printed_config() for router in lab.routers)
    newest = {secret for router in lab.routers for secret in router.hashes()}
    assert secrets.found_in(printed) >= newest
    assert len(secrets.found_in(printed)) >= 14
    assert len(secrets.values) > len(secrets.found_in(printed))


def test_none_is_in_git(up: Up, secrets: Secrets) -> None:
    assert secrets.found_in_git(up.data_dir / "configs.git") == {}


def test_none_is_in_the_database(state: StackState, secrets: Secrets) -> None:
    assert secrets.found_in_database(state.database_url) == {}


def test_none_is_in_redis(state: StackState, redis_traffic: bytes, secrets: Secrets) -> None:
    assert b"jobs.backup_device" in redis_traffic
    assert secrets.found_in(redis_traffic) == set()
    assert secrets.found_in_redis(state.redis_url) == {}


def test_none_is_in_any_file_of_the_stack(up: Up, secrets: Secrets) -> None:
    """Logs, Redis' append-only file, and what PostgreSQL has written and forgotten."""
    names = {path.name for path in up.data_dir.rglob("*") if path.is_file()}
    assert names >= {"devices1.log", "control.log", "web.log", "beat.log", "flower.log"}
    assert any("appendonly" in name for name in names)
    assert secrets.found_in_files(up.data_dir) == {}
    assert secrets.found_in(up.output_file.read_bytes()) == set()


def test_none_was_among_the_arguments_of_a_process(arguments: Watch, secrets: Secrets) -> None:
    assert b"create_credential\0" in arguments.text()
    assert secrets.found_in(arguments.text()) == set()


def test_no_command_prints_one(backups: Backups, lab: Lab, secrets: Secrets) -> None:
    printed = [backups.config("diff", router.hostname) for router in lab.routers]
    printed += [backups.config(action, "edge1", "--json") for action in ("show", "history")]
    printed.append(backups.config("search", "."))
    printed.append(backups.up.command("resolve_credentials", "core1", "--json").stdout)
    assert all(printed)
    assert secrets.found_in("\n".join(printed).encode()) == set()


def test_no_answer_of_the_api_holds_one(up: Up, secrets: Secrets) -> None:
    answers = dict(api_answers(up))
    for name in ("devices", "jobs", "runs", "device-results"):
        assert any(path.startswith(f"/api/v1/{name}/") for path in answers), name
    leaked = {path: secrets.found_in(body) for path, body in answers.items()}
    assert {path: found for path, found in leaked.items() if found} == {}


def api_answers(up: Up) -> Iterator[tuple[str, bytes]]:
    """The answer to each GET of the API's schema: all lists, and what hangs on their entries."""
    authorization = up.api_authorization()
    schema = up.http_json(up.web_port, "/api/v1/schema/?format=json", authorization)
    readable = [path for path, methods in schema["paths"].items() if "get" in methods]
    for path in readable:
        if "{" not in path:
            yield path, got(up, path + "?size=500", authorization)
    for path in readable:
        parent, brace, rest = path.partition("{id}")
        if not brace or "{" in rest:
            continue
        for entry in listed(up, parent, authorization)[:20]:
            full = f"{parent}{entry['id']}{rest}"
            yield full, got(up, full, authorization)


def got(up: Up, path: str, authorization: str) -> bytes:
    status, body = up.http_get(up.web_port, path, authorization)
    # 400: it wants a query; 404: this entry has no such part. Both are answers to be looked at.
    known = {http.HTTPStatus.OK, http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.NOT_FOUND}
    assert status in known, f"{urlsplit(path).path}: {status}"
    return body


def listed(up: Up, path: str, authorization: str) -> list[dict[str, Any]]:
    answer = up.http_json(up.web_port, path, authorization)
    entries: list[dict[str, Any]] = answer.get("results", answer)
    return entries


def test_the_search_itself_finds_them(tmp_path: Path) -> None:
    """In each form that is looked for; a search that is blind would pass every test above."""
    hidden = Secrets(["Canary-0123456789"])
    plain = b"Canary-0123456789"
    for shift in range(3):
        assert hidden.found_in(base64.b64encode(b"x" * shift + plain + b"tail"))
    assert hidden.found_in(plain.hex().encode())
    (tmp_path / "file").write_bytes(b"..." + plain)
    assert hidden.found_in_files(tmp_path) == {str(tmp_path / "file"): {"Canary-0123456789"}}
    assert hidden.found_in(b"Canary-012345678") == set()
