"""``manage.py up``, as its operator and its attackers meet it: real processes, real kills."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from netraven_site.stack.keys import EmbeddedKeys
from netraven_site.stack.ports import accepts, free_port
from netraven_site.stack.state import StackState
from tests.support import prepared
from tests.support.servers import local_servers
from tests.support.up import LOGIN, READY_SECONDS, Up
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack on its first start, shared by the tests that leave it as it is."""
    syslog = {"NETRAVEN_SYSLOG_BIND": "127.0.0.1", "NETRAVEN_SYSLOG_PORT": str(free_port())}
    up = Up(tmp_path_factory.mktemp("running") / "data", **syslog)
    try:
        yield up.start()
    finally:
        up.kill_all()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A stack of one test, not started. Its first start finds the tables that it would make."""
    up = Up.prepared(tmp_path / "data")
    yield up
    up.kill_all()


def test_the_web_answers(running: Up) -> None:
    assert running.http_status(running.web_port, "/healthz") == http.HTTPStatus.OK


def test_the_syslog_listener_listens_where_it_was_told_to(running: Up) -> None:
    assert accepts("127.0.0.1", int(running.environment["NETRAVEN_SYSLOG_PORT"]))


def test_the_shown_login_works(running: Up) -> None:
    authorization = running.api_authorization()
    assert running.http_json(running.web_port, "/api/v1/devices/", authorization)["count"] == 0


def test_flower_asks_for_the_password(running: Up) -> None:
    password = EmbeddedKeys.load_or_create(running.data_dir).flower_password
    basic = "Basic " + b64encode(f"admin:{password}".encode()).decode()
    assert running.http_status(running.flower_port, "/") == http.HTTPStatus.UNAUTHORIZED
    assert running.http_status(running.flower_port, "/", basic) == http.HTTPStatus.OK


def test_redis_refuses_who_has_no_password(running: Up) -> None:
    state = StackState.read(running.data_dir)
    assert state is not None
    client = redis.Redis.from_url(state.redis_url)
    address = client.connection_pool.connection_kwargs
    stranger = redis.Redis(host=address["host"], port=address["port"])
    assert client.ping()
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    client.close()
    stranger.close()


def test_postgres_listens_on_no_port_and_its_socket_is_private(running: Up) -> None:
    server = running.child("-D", str(running.data_dir / "postgres"))
    assert server is not None
    assert psutil.Process(server).net_connections("inet") == []
    state = StackState.read(running.data_dir)
    assert state is not None
    socket_dir = Path(state.database_url.partition("?host=")[2])
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700


def test_files_with_secrets_are_private(running: Up) -> None:
    for name in ("keys.json", "stack.json"):
        assert stat.S_IMODE((running.data_dir / name).stat().st_mode) == 0o600
    assert (running.data_dir / "conf" / "redis.conf").stat().st_mode & stat.S_IRWXO == 0
    assert (running.data_dir / "conf").stat().st_mode & stat.S_IRWXO == 0


def test_no_secret_is_among_the_arguments(running: Up) -> None:
    keys = EmbeddedKeys.load_or_create(running.data_dir)
    arguments = "\n".join(word for child in running.processes() for word in child.cmdline())
    assert "worker" in arguments
    for secret in (keys.redis_password, keys.flower_password, keys.secret_key):
        assert secret not in arguments


def test_a_second_start_is_refused(running: Up) -> None:
    result = running.command("up")
    assert result.returncode != 0
    assert "already runs in" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert running.http_status(running.web_port, "/healthz") == http.HTTPStatus.OK


@pytest.mark.parametrize("queues", ["devices", "control,git"])
def test_a_killed_worker_comes_back(running: Up, queues: str) -> None:
    killed = running.child("worker", "-Q", queues)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: running.child("worker", "-Q", queues) not in (None, killed), "a new worker")
    assert "was ended by SIGKILL; it starts again in" in running.output()


def test_a_killed_database_comes_back(running: Up) -> None:
    state = StackState.read(running.data_dir)
    killed = running.child("-D", str(running.data_dir / "postgres"))
    assert state is not None
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    def answers() -> bool:
        try:
            psycopg.connect(state.database_url).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_for(answers, "PostgreSQL answers again")
    assert running.child("-D", str(running.data_dir / "postgres")) != killed


def test_stopped_by_term_it_leaves_nothing_and_the_next_start_finds_its_data(up: Up) -> None:
    up.start()
    assert LOGIN.search(up.output())
    assert up.stop(signal.SIGTERM) == 0
    assert up.processes() == []
    assert StackState.read(up.data_dir) is None

    up.start()
    assert LOGIN.search(up.output()) is None
    state = StackState.read(up.data_dir)
    assert state is not None
    connection = psycopg.connect(state.database_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT username FROM auth_user")
        assert cursor.fetchall() == [("admin",)]
    connection.close()
    assert up.stop(signal.SIGINT) == 0


def test_after_a_kill_the_children_go_and_the_next_start_works(up: Up) -> None:
    up.start()
    assert up.processes()
    up.stop(signal.SIGKILL)
    wait_for(lambda: up.processes() == [], "the children have gone", 15)
    up.start()
    assert up.http_status(up.web_port, "/healthz") == http.HTTPStatus.OK


def test_a_closed_terminal_does_not_stop_it(up: Up) -> None:
    up.process = up.popen(stdout=subprocess.PIPE)
    assert up.process.stdout is not None
    with up.process.stdout as terminal:
        terminal.readline()
    wait_for(lambda: up.answers("/healthz"), "the web answers", READY_SECONDS)
    up.stop()
    assert up.processes() == []


def test_given_servers_are_used_instead_of_own_ones(tmp_path: Path) -> None:
    prepared.copy_database(tmp_path / "servers")
    prepared.copy_static_files(tmp_path / "data")
    with local_servers(tmp_path / "servers") as servers:
        given = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        up = Up(tmp_path / "data", **given)
        try:
            up.start()
            assert up.child("postgres") is None
            assert not (up.data_dir / "postgres").exists()
            assert not (up.data_dir / "redis").exists()
            assert up.stop() == 0
        finally:
            up.kill_all()


def test_a_given_server_that_is_down_is_one_line(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", REDIS_URL="redis://:hidden@127.0.0.1:1/0")
    result = up.command("up")
    assert result.returncode != 0
    assert result.stderr.startswith("CommandError: REDIS_URL: the Redis server does not answer")
    assert len(result.stderr.splitlines()) == 1
    assert "hidden" not in result.stderr + result.stdout
    assert up.processes() == []


def test_a_database_without_rights_is_one_line(tmp_path: Path) -> None:
    with local_servers(tmp_path / "servers") as servers:
        connection = psycopg.connect(servers.database_url)
        with connection, connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE netraven SET default_transaction_read_only = on")
        connection.close()
        up = Up(tmp_path / "data", DATABASE_URL=servers.database_url, REDIS_URL=servers.redis_url)
        result = up.command("up")
    assert result.returncode != 0
    assert result.stderr.startswith("CommandError: the database cannot be set up: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    result = Up(tmp_path / "data", NETRAVEN_WEB_THREADS="many").command("up")
    assert result.returncode != 0
    assert "NETRAVEN_WEB_THREADS" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "setting", ["NETRAVEN_WEB_PORT", "NETRAVEN_FLOWER_PORT", "NETRAVEN_SYSLOG_PORT"]
)
def test_a_taken_port_is_one_line_that_names_the_setting(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {setting: str(taken.getsockname()[1]), "NETRAVEN_SYSLOG_BIND": "127.0.0.1"}
        up = Up(tmp_path / "data", **given)
        result = up.command("up")
    assert result.returncode != 0
    assert f"set {setting} to a free port" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert up.processes() == []
