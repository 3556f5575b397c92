"""Real OpenSSH servers on the loopback address, with login accounts of the test's own."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netraven_site.stack.ports import free_port
from tests.support.waiting import wait_for

ADDRESS = "127.0.0.1"
_SSHD = Path("/usr/sbin/sshd")
#: sshd locks its unprivileged half into this empty directory and does not start without it.
_EMPTY = Path("/run/sshd")
_CONFIGURATION = """\
{options}
ListenAddress {address}:{port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
AllowUsers {account}
UsePAM no
StrictModes no
PasswordAuthentication {password}
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PrintMotd no
PrintLastLog no
UseDNS no
# Names each user that asks to be let in, before anything is decided.
LogLevel DEBUG1
"""


def missing() -> str | None:
    """Why no server can run on this machine; None when it can."""
    if os.geteuid() != 0:
        return "login accounts are made as root"
    if not _SSHD.exists() or shutil.which("ssh") is None:
        return "OpenSSH is not installed: apt-get install openssh-server"
    return None


class KeyKind(StrEnum):
    """What keys there are."""

    ED25519 = "ed25519"
    ECDSA = "ecdsa"
    RSA = "rsa"

    def generate(self) -> Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
        """A new key of this kind."""
        if self is KeyKind.ED25519:
            return Ed25519PrivateKey.generate()
        if self is KeyKind.ECDSA:
            return ec.generate_private_key(ec.SECP256R1())
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class KeyPair:
    """A key as OpenSSH writes it."""

    def __init__(self, passphrase: str | None = None, kind: KeyKind = KeyKind.ED25519) -> None:
        key = kind.generate()
        openssh = serialization.PrivateFormat.OpenSSH
        sealed: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            sealed = serialization.BestAvailableEncryption(passphrase.encode())
        self.private = key.private_bytes(serialization.Encoding.PEM, openssh, sealed).decode()
        public = serialization.PublicFormat.OpenSSH
        self.public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, public).decode()

    def write(self, path: Path) -> Path:
        """The private half in a file that only its owner may read."""
        path.touch(mode=0o600)
        path.write_text(self.private, encoding="utf-8")
        return path


@contextmanager
def login_account(name: str, *, shell: Path, group: str, password: str | None) -> Iterator[str]:
    """A system account with this shell and no home of its own; removed at the end."""
    command = ["useradd", "--no-create-home", "--home-dir", "/", "--no-user-group"]
    subprocess.run([*command, "--groups", group, "--shell", str(shell), name], check=True)
    try:
        # An account without a password is locked; "*" is a password that nothing matches.
        sealed = f"{name}:{password}" if password else f"{name}:*"
        options = [] if password else ["--encrypted"]
        subprocess.run(["chpasswd", *options], input=sealed, text=True, check=True)
        yield name
    finally:
        _end_sessions(name)
        subprocess.run(["userdel", name], check=True)


def _end_sessions(account: str) -> None:
    """End what still runs for the account: it cannot be removed before."""
    uid = pwd.getpwnam(account).pw_uid
    sessions = [
        process
        for process in psutil.process_iter(["uids"])
        if process.info["uids"] and uid in process.info["uids"]
    ]
    for session in sessions:
        with suppress(psutil.NoSuchProcess):
            session.kill()
    psutil.wait_procs(sessions, timeout=10)


@contextmanager
def separation_directory() -> Iterator[None]:
    """The directory that sshd wants, for as long as servers run; the package's service makes it.

    sshd looks for it at each connection, so it stays while other tests on this machine hold it.
    """
    made = not _EMPTY.exists()
    _EMPTY.mkdir(mode=0o755, exist_ok=True)
    directory = os.open(_EMPTY, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_SH)
        yield
    finally:
        with suppress(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if made:
                _EMPTY.rmdir()
        os.close(directory)


class Sshd:
    """One server with a host key of its own, for one account."""

    def __init__(
        self,
        directory: Path,
        *,
        account: str,
        keys: Sequence[KeyPair],
        password: bool,
        launcher: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        """``keys`` are let in; ``password`` says whether the account's password is, too.

        ``launcher`` is a command line that becomes the server, ``nsenter`` for example. ``options``
        are lines of its configuration that go before all others.
        """
        self.port = free_port()
        self._launcher = launcher
        self._account = account
        self._directory = directory
        self._log = directory / "sshd.log"
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir()
        allowed = "\n".join(key.public for key in keys)
        (directory / "authorized_keys").write_text(allowed + "\n", encoding="utf-8")
        self.use_host_key(KeyPair())
        configuration = _CONFIGURATION.format(
            options="\n".join(options),
            address=ADDRESS,
            port=self.port,
            directory=directory,
            account=account,
            password="yes" if password else "no",
        )
        (directory / "sshd_config").write_text(configuration, encoding="utf-8")

    def use_host_key(self, key: KeyPair) -> None:
        """Show this key from the next start on."""
        self.host_key = key
        path = self._directory / "host_key"
        path.unlink(missing_ok=True)
        key.write(path)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._launcher,
                    *(str(_SSHD), "-D", "-e", "-f", str(self._directory / "sshd_config")),
                ],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        wait_for(self._listens, f"sshd listens on port {self.port}", 20)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            socket.create_connection((ADDRESS, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def log(self) -> str:
        """Everything that it has said up to now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def ask(self, command: str, *, key_file: Path) -> bytes:
        """What OpenSSH's own client gets on a terminal: its bytes as they come over the wire."""
        known_hosts = self._directory / "known_hosts"
        host = f"[{ADDRESS}]:{self.port} {self.host_key.public}\n"
        known_hosts.write_text(host, encoding="utf-8")
        client = ["ssh", "-F", "none", "-tt", "-q", "-p", str(self.port), "-i", str(key_file)]
        client += ["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
        client += ["-o", f"UserKnownHostsFile={known_hosts}"]
        done = subprocess.run(
            [*client, f"{self._account}@{ADDRESS}", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=30,
        )
        return done.stdout
