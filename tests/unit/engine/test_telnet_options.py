"""Commands inside a Telnet connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.netmiko_collector.telnet_options import Negotiation

IAC, DO, DONT, WILL, WONT, SB, SE = 255, 253, 254, 251, 252, 250, 240


@pytest.mark.parametrize(
    ("received", "text", "reply"),
    [
        (b"plain\r\n", b"plain\r\n", b""),
        (b"a\r\0b", b"a\rb", b""),
        (bytes((IAC, IAC)), b"\xff", b""),
        (bytes((IAC, WILL, 1)), b"", bytes((IAC, DO, 1))),
        (bytes((IAC, WILL, 3)), b"", bytes((IAC, DO, 3))),
        (bytes((IAC, WILL, 24)), b"", bytes((IAC, DONT, 24))),
        (bytes((IAC, DO, 3)), b"", bytes((IAC, WILL, 3))),
        (bytes((IAC, DO, 24)), b"", bytes((IAC, WONT, 24))),
        (bytes((IAC, WONT, 1)), b"", b""),
        (bytes((IAC, DONT, 3)), b"", b""),
        (b"a" + bytes((IAC, 241)) + b"b", b"ab", b""),
        (b"a" + bytes((IAC, SB, 24, 1, IAC, SE)) + b"b", b"ab", b""),
        # A doubled byte inside a subnegotiation does not end it.
        (b"a" + bytes((IAC, SB, 24, IAC, IAC, SE, 1, IAC, SE)) + b"b", b"ab", b""),
    ],
)
def test_text_and_reply(received: bytes, text: bytes, reply: bytes) -> None:
    assert Negotiation().feed(received) == (text, reply)


def test_the_same_is_answered_once() -> None:
    negotiation = Negotiation()
    assert negotiation.feed(bytes((IAC, WILL, 1)) * 100) == (b"", bytes((IAC, DO, 1)))
    assert negotiation.feed(bytes((IAC, WILL, 1))) == (b"", b"")


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\xff", b"\xff\xfa", b"\xff\xf0"])))
def test_pieces_do_not_matter(pieces: list[bytes]) -> None:
    whole, piecewise = Negotiation(), Negotiation()
    text, reply = whole.feed(b"".join(pieces))
    parts = [piecewise.feed(piece) for piece in pieces]
    assert (text, reply) == (
        b"".join(part[0] for part in parts),
        b"".join(part[1] for part in parts),
    )


def test_command_without_end_takes_no_memory() -> None:
    negotiation = Negotiation()
    for _ in range(100):
        assert negotiation.feed(bytes((IAC, SB)) + b"x" * 1000) == (b"", b"")
    assert len(negotiation._command) < 100
