"""Addresses of remotes: what is taken, what is refused, and what is shown of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.git.remote import RemoteAddress, parse_remote


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://git.example.net/net/c.git", ("https", None, "git.example.net", None)),
        ("https://bot@git.example.net:8443/c.git", ("https", "bot", "git.example.net", 8443)),
        ("ssh://git@git.example.net/c.git", ("ssh", "git", "git.example.net", None)),
        ("ssh://git.example.net:2222/srv/c.git", ("ssh", None, "git.example.net", 2222)),
        ("ssh://git@[2001:db8::1]:22/c.git", ("ssh", "git", "2001:db8::1", 22)),
        ("git@git.example.net:net/c.git", ("ssh", "git", "git.example.net", None)),
    ],
)
def test_parts(url: str, parts: tuple[object, ...]) -> None:
    address = parse_remote(url)
    assert (address.scheme, address.user, address.host, address.port) == parts
    assert address.path.endswith("c.git")
    assert address.url_for(address.user) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no blank"),
        ("https://git.example.net/a b", "no blank"),
        ("https://git.example.net/a\nb", "no blank"),
        ("https://git.exämple.net/a", "no blank"),
        ("http://git.example.net/c.git", "must look like"),
        ("file:///srv/c.git", "must look like"),
        ("/srv/c.git", "must look like"),
        ("ext::sh", "must look like"),
        ("ext::sh@x:c", "must look like"),
        ("git://git.example.net/c.git", "must look like"),
        ("https:///c.git", "must look like"),
        ("https://git.example.net", "must look like"),
        ("https://git.example.net/", "must look like"),
        ("ssh://-oProxyCommand=x/c.git", "must look like"),
        ("git@-oProxyCommand=x:c.git", "must look like"),
        ("-x@git.example.net:c.git", "must look like"),
        ("https://git.example.net:99999/c.git", "must look like"),
        ("https://u:pw@git.example.net/c.git", "must not hold a password"),
        ("ssh://u:@git.example.net/c.git", "must not hold a password"),
        ("https://git.example.net/c.git?x=1", "end with the path"),
        ("https://git.example.net/c.git#x", "end with the path"),
        ("ssh://a;b@git.example.net/c.git", "user name"),
    ],
)
def test_what_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_remote(url)


def test_another_user_takes_the_place_of_none() -> None:
    assert parse_remote("ssh://host/c.git").url_for("git") == "ssh://git@host/c.git"
    assert parse_remote("https://u@host:1/c.git").url_for(None) == "https://host:1/c.git"
    assert parse_remote("ssh://host:22/c.git").origin == "ssh://host:22"


@given(st.text(max_size=60) | st.from_regex(r"(https|ssh)://[ -~]{0,40}", fullmatch=True))
def test_any_text_is_an_address_or_a_plain_refusal(url: str) -> None:
    try:
        address = parse_remote(url)
    except ValueError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(address, RemoteAddress)
    assert not address.host.startswith("-")
    assert parse_remote(address.url_for(address.user)) == address
