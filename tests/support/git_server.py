"""A Git server over HTTPS on the loopback address: ``git http-backend`` behind a log-in."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"
USERNAME = "backup-bot"
#: Has what shells, URLs and headers could trip over.
PASSWORD = "T0ken 'q\"%40:@/#-canary"
REPOSITORY = "configs.git"
_LOGIN = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()


@dataclass
class GitServer:
    """One server; its repositories lie in ``folder``."""

    folder: Path
    port: int = 0
    ca_file: Path = Path()
    #: Requests that came with the right log-in, and those that did not.
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    #: Where every request is sent instead, if anywhere.
    redirect_to: str | None = None
    #: Set while a push hangs in the middle; it goes on when ``release`` is set.
    hangs: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    hang_at_push: bool = False
    #: Whether whoever sent the push that hangs is gone, so that it does not go on.
    sender_is_gone: bool = False

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.port}/{REPOSITORY}"

    @property
    def repository(self) -> Path:
        return self.folder / REPOSITORY

    def make_repository(self) -> Path:
        command = ["git", "init", "-q", "--bare", "-b", "main", str(self.repository)]
        subprocess.run(command, check=True)
        receive = ["git", "-C", str(self.repository), "config", "http.receivepack", "true"]
        subprocess.run(receive, check=True)
        return self.repository


@contextmanager
def git_server(folder: Path, port: int = 0) -> Iterator[GitServer]:
    """A running server with an empty repository, or the one that is in ``folder`` already."""
    folder.mkdir(exist_ok=True)
    server = GitServer(folder)
    if not server.repository.exists():
        server.make_repository()
    certificate, key = certificate_of_loopback(folder)
    server.ca_file = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    httpd = _Httpd((ADDRESS, port), type("Handler", (_Handler,), {"git": server}))
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    server.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        httpd.shutdown()
        thread.join(20)
        httpd.server_close()


class _Httpd(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away or does not trust us is no failure of the server."""


class _Handler(BaseHTTPRequestHandler):
    #: Filled in per server.
    git: GitServer
    timeout = 20

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.git.redirect_to is not None:
            self._refuse(302, "Location", self.git.redirect_to + self.path)
        elif self.headers.get("Authorization") != _LOGIN:
            self.git.refused.append(self.path)
            self._refuse(401, "WWW-Authenticate", 'Basic realm="git"')
        else:
            self.git.accepted.append(self.path)
            self._serve(self._body())

    def _refuse(self, status: int, name: str, value: str) -> None:
        self.send_response(status)
        self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _serve(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        is_push = parts.path.endswith("/git-receive-pack") and body != b"0000"
        if self.git.hang_at_push and is_push:
            self.git.hangs.set()
            self.git.release.wait(60)
            if self.git.sender_is_gone:
                return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.git.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": USERNAME,
            "REMOTE_ADDR": ADDRESS,
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, env=environment
        )
        self._pass_on(done.stdout)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _pass_on(self, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split(" ")[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def certificate_of_loopback(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback address that signs itself, and its key."""
    certificate, key_file = folder / "server.crt", folder / "server.key"
    if certificate.exists():
        return certificate, key_file
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(ADDRESS))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key_file
