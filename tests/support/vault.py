"""A server that speaks the part of Vault's HTTP API that NetRaven uses: KV version 2 and AppRole.

It stands in for Vault, whose binary comes in no package of pip or Debian and so cannot be had
here. Paths, status codes and bodies are those of Vault's API documentation
(https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 and …/auth/approle).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_METADATA = {"version": 1, "created_time": "2036-01-01T00:00:00Z", "destroyed": False}


@dataclass(kw_only=True)
class FakeVault:
    """What the server knows; tests change it while it runs."""

    address: str = ""
    #: By mount and path, as ``secret/network/lab``. None for a version that was deleted.
    secrets: dict[str, Any] = field(default_factory=dict)
    #: Tokens that may read.
    tokens: set[str] = field(default_factory=set)
    #: Secret ids by role id.
    roles: dict[str, str] = field(default_factory=dict)
    lease_seconds: int = 3600
    is_sealed: bool = False
    #: What is answered in place of anything else: status and body.
    nonsense: tuple[int, bytes] | None = None
    #: Method and path of each request, in order.
    requests: list[str] = field(default_factory=list)
    log_ins: int = 0

    def reads(self) -> int:
        """How many secrets were asked for."""
        return sum(request.startswith("GET ") for request in self.requests)


@contextmanager
def running_vault() -> Iterator[FakeVault]:
    """The server on a free port of this machine."""
    vault = FakeVault()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*_read(vault, self.path, self.headers.get("X-Vault-Token", "")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*_log_in(vault, self.path, json.loads(body)))

        def _answer(self, status: int, content: Any) -> None:
            vault.requests.append(f"{self.command} {self.path}")
            if vault.is_sealed:
                status, content = 503, {"errors": ["Vault is sealed"]}
            data = json.dumps(content).encode()
            if vault.nonsense is not None:
                status, data = vault.nonsense
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    vault.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vault
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _read(vault: FakeVault, path: str, token: str) -> tuple[int, Any]:
    if token not in vault.tokens:
        return 403, {"errors": ["permission denied"]}
    mount, _, rest = path.removeprefix("/v1/").partition("/data/")
    key = f"{mount}/{rest}"
    if key not in vault.secrets:
        return 404, {"errors": []}
    data = vault.secrets[key]
    if data is None:
        deleted = _METADATA | {"deletion_time": "2036-01-02T00:00:00Z"}
        return 404, {"data": {"data": None, "metadata": deleted}}
    return 200, {"data": {"data": data, "metadata": _METADATA | {"deletion_time": ""}}}


def _log_in(vault: FakeVault, path: str, body: dict[str, str]) -> tuple[int, Any]:
    secret_id = vault.roles.get(body.get("role_id", ""))
    if path != "/v1/auth/approle/login" or secret_id is None or secret_id != body.get("secret_id"):
        return 400, {"errors": ["invalid role or secret ID"]}
    vault.log_ins += 1
    token = f"hvs.token-{vault.log_ins}"
    vault.tokens.add(token)
    auth = {"client_token": token, "lease_duration": vault.lease_seconds, "renewable": True}
    return 200, {"auth": auth}
