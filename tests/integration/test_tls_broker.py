"""Redis over TLS, as workers of zones elsewhere use it: kombu, the result backend, the commands."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from netraven_site.results import backend_url
from netraven_site.stack.errors import StackError
from netraven_site.stack.external import require_redis
from tests.support.git_server import certificate_of_loopback


@pytest.fixture
def tls_url(tmp_path: Path) -> Iterator[str]:
    """The Redis server of the session behind TLS, with a certificate of this test."""
    certificate, key = certificate_of_loopback(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    plain = urlsplit(os.environ["REDIS_URL"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, context, plain.hostname, plain.port))
        thread.start()
        port = server.getsockname()[1]
        query = f"ssl_cert_reqs=required&ssl_ca_certs={certificate}"
        yield f"rediss://:{plain.password or ''}@127.0.0.1:{port}/0?{query}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _serve(server: socket.socket, context: ssl.SSLContext, host: str, port: int) -> None:
    with contextlib.suppress(OSError):  # the end of the test
        while True:
            accepted, _ = server.accept()
            with contextlib.suppress(OSError):
                secured = context.wrap_socket(accepted, server_side=True)
                upstream = socket.create_connection((host, port))
                for pair in ((secured, upstream), (upstream, secured)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError), source, target:
        while data := source.recv(65536):
            target.sendall(data)


def app_on(url: str) -> Celery:
    return Celery(broker=url, backend=backend_url(url), set_as_current=False)


def test_messages_and_results_go_over_tls(tls_url: str) -> None:
    require_redis(tls_url)
    app = app_on(tls_url)
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("test-over-tls")
        queue.put({"id": 1})
        assert queue.get(timeout=10).payload == {"id": 1}
        queue.close()
    backend: Any = app.backend  # the stubs know no Redis
    backend.set("test-over-tls", b"kept")
    assert backend.get("test-over-tls") == b"kept"
    backend.delete("test-over-tls")


def test_a_certificate_that_nobody_knows_is_refused(tls_url: str) -> None:
    url = tls_url.partition("&ssl_ca_certs")[0]
    with pytest.raises(StackError, match="certificate verify failed"):
        require_redis(url)
    with app_on(url).connection_for_write() as connection, pytest.raises(OperationalError):
        connection.ensure_connection(max_retries=1, errback=None, interval_start=0)
    with pytest.raises(redis.ConnectionError):
        redis.Redis.from_url(url).ping()
