"""Netmiko's table of the signs by which a platform is known."""

from __future__ import annotations

from netmiko.ssh_autodetect import SSHDetect

from backups.engine.netmiko_collector.session import Session
from backups.engine.normalise import clean_text
from inventory.platforms.definition import Role


class Signs(SSHDetect):
    """The table, asked over a session of ours."""

    def __init__(self, session: Session) -> None:
        self.connection = self._session = session
        self.initial_buffer = session.greeting
        self.potential_matches = {}
        self._results_cache = {}
        #: The commands that were sent.
        self.asked: list[str] = []

    def _send_command(self, cmd: str = "") -> str:
        self.asked.append(cmd)
        return clean_text(self._session.ask(cmd, role=Role.VERSION))
