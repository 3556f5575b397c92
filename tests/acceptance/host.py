"""A host with an account of the test's own behind real OpenSSH, and the engine that reads it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.pipeline import BackupOutcome, BackupRequest, back_up
from backups.engine.redaction import Redactor
from credentials.secret import DeviceCredential
from inventory.platforms import get_platform
from tests.acceptance.lab import Login
from tests.support import openssh
from tests.support.openssh import KeyPair, Sshd, login_account
from tests.support.reading import LIMITS, device

_KEY = b"a-key-for-the-tests-of-real-hosts"


@dataclass(frozen=True, kw_only=True)
class Host:
    """One account on this machine and the way to it."""

    platform: str
    login: Login
    sshd: Sshd
    own_key: Path

    def back_up(self) -> BackupOutcome:
        """What NetRaven makes of it. Raises DeviceError."""
        request = BackupRequest(
            target=device(self.sshd.port, platform=self.platform),
            platform=get_platform(self.platform),
            credential=DeviceCredential(
                name="lab",
                username=self.login.account,
                password=self.login.password,
                ssh_key=self.login.key.private if self.login.key else None,
                ssh_key_passphrase=self.login.passphrase,
            ),
            limits=LIMITS,
            previous_size=None,
            minimum_share=0,
        )
        return back_up(
            request, collector=NetmikoCollector(), redactor=Redactor(_KEY), digest_key=_KEY
        )

    def printed(self, command: str) -> bytes:
        """What a command prints on a terminal, read without NetRaven's help, even if it fails."""
        return self.sshd.ask(f"{command}; true", key_file=self.own_key)


@contextmanager
def running_host(
    platform: str, *, shell: Path, group: str, login: Login, launcher: Sequence[str] = ()
) -> Iterator[Host]:
    """An account with this shell and group, and a server that lets it in."""
    own_key = KeyPair()
    with ExitStack() as resources:
        directory = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="nr-host-")))
        directory.chmod(0o711)  # keys are looked up with the rights of the account
        resources.enter_context(openssh.separation_directory())
        resources.enter_context(
            login_account(login.account, shell=shell, group=group, password=login.password)
        )
        sshd = Sshd(
            directory / "ssh",
            account=login.account,
            keys=[pair for pair in (own_key, login.key) if pair],
            password=login.password is not None,
            launcher=launcher,
        )
        resources.callback(sshd.stop)
        sshd.start()
        own_key_file = own_key.write(directory / "own_key")
        yield Host(platform=platform, login=login, sshd=sshd, own_key=own_key_file)
