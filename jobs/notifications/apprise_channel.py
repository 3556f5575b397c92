"""Mail, Slack, Teams, syslog and whatever else Apprise knows; its only importer."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from django.conf import settings

from jobs.notifications.channel import SEND_SECONDS, Content, Outcome, address_problem
from jobs.notifications.checked_names import checked_names
from jobs.notifications.time_limit import within
from jobs.services.logs import safe_message

if TYPE_CHECKING:
    import apprise

#: They would post to any address, as the kind ``webhook`` does, without its checks.
_WEB = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
#: They show something on the desktop of the host, or run something there.
_LOCAL = frozenset({"dbus", "kde", "qt", "glib", "gnome", "macosx", "windows"})
_SHORTEST_SECRET = 4


def apprise_address(url: str) -> str:
    """The scheme of ``url``, and its host where that is no secret.

    Raises ValueError, without the URL, for one that Apprise does not know or that is refused.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme in _WEB | {"http", "https"}:
        raise ValueError("For an address of one's own choose the kind webhook.")
    if scheme in _LOCAL:
        raise ValueError(f"'{scheme}' is about the desktop of this host.")
    plugin = _plugin(url)
    if plugin is None:
        raise ValueError("Apprise does not understand this address; its documents list them.")
    host = _host(plugin)
    return f"{scheme}://{host}" if host else f"{scheme}://"


def apprise_send(*, url: str, content: Content) -> Outcome:
    """Send ``content``; the diff is attached where the service takes files, else it follows."""
    # Takes a quarter of a second, which commands need not wait for that send nothing.
    import apprise

    plugin = _plugin(url)
    if plugin is None:
        return Outcome(error="Apprise does not understand the address; give it anew")
    if "overflow=" not in url:
        # By itself Apprise sends a text that is too long for the service as it is.
        plugin.overflow_mode = apprise.OverflowMode.SPLIT
    try:
        return within(SEND_SECONDS, url, lambda: _notify(plugin, content, _secrets(url)))
    except TimeoutError:
        return Outcome(error="the service did not take the message in time")


def _notify(plugin: apprise.NotifyBase, content: Content, secrets: list[str]) -> Outcome:
    import apprise
    from apprise.attachment.memory import AttachMemory

    sender = apprise.Apprise()
    sender.add(plugin)
    text, attach = content.text, None
    if content.diff and plugin.attachment_support:
        attach = AttachMemory(
            content=content.diff, name="changes.diff", mimetype="text/x-diff", format="text"
        )
    elif content.diff:
        text = f"{text}\n\n{content.diff}"
    networks = settings.NETRAVEN.notification_networks
    with _Heard() as heard, checked_names(allowed=networks) as check:
        sent = _pin(plugin) and sender.notify(
            body=text, title=content.subject, body_format=apprise.NotifyFormat.TEXT, attach=attach
        )
    if sent:
        return Outcome()
    if check.failure is not None:
        host, reason = check.failure
        return Outcome(error=address_problem(reason, host))
    said = safe_message("; ".join(heard.lines), secrets) or "the service did not take it"
    return Outcome(error=" ".join(said.split())[:500])


def _plugin(url: str) -> apprise.NotifyBase | None:
    """What sends to ``url``; None where Apprise understands no such address."""
    import apprise

    plugin: apprise.NotifyBase | None
    with _Heard():
        plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    return plugin


def _pin(plugin: apprise.NotifyBase) -> bool:
    """Have what sends datagrams send to an address, not a name; False where that has none.

    The kernel looks names of datagrams up by itself, where nothing checks what comes out.
    """
    if plugin.protocol == "rsyslog":
        try:
            found = socket.getaddrinfo(plugin.host, None, socket.AF_INET, socket.SOCK_DGRAM)
        except OSError:
            return False
        plugin.host = str(found[0][4][0])
    return True


def _host(plugin: apprise.NotifyBase) -> str:
    """The host that is connected to; empty for services, whose addresses hold tokens there."""
    templates: tuple[str, ...] = plugin.templates
    if not any("{host}" in template for template in templates):
        return ""
    return str(getattr(plugin, "smtp_host", "") or plugin.host or "").strip("[]")


def _secrets(url: str) -> list[str]:
    """The parts of ``url`` that Apprise might quote."""
    text = unquote(url)
    for mark in "/?&=:@#":
        text = text.replace(mark, " ")
    return [part for part in {*text.split(), url} if len(part) >= _SHORTEST_SECRET]


class _Heard(logging.Handler):
    """Keeps what Apprise says in this thread; its logger hands nothing on, as it quotes URLs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.lines: list[str] = []

    def __enter__(self) -> _Heard:
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and len(self.lines) < 5:
            self.lines.append(record.getMessage())
