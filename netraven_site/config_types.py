"""Types of settings that come as text: lists, networks, addresses, URLs."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainValidator, SecretStr
from pydantic_settings import NoDecode


def _split(value: object) -> object:
    """A comma-separated text as a list; a TOML list passes through."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


TextList = Annotated[list[str], NoDecode, BeforeValidator(_split)]


def _network(value: object) -> object:
    try:
        return ipaddress.ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{error}; give networks such as 127.0.0.0/8 or 10.0.0.0/8") from error


def _ip_address(value: object) -> object:
    try:
        return ipaddress.ip_address(str(value))
    except ValueError:
        raise ValueError("it must be an address such as 192.0.2.1, 0.0.0.0 or ::") from None


Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, PlainValidator(_network)]
IpAddress = Annotated[ipaddress.IPv4Address | ipaddress.IPv6Address, PlainValidator(_ip_address)]
NetworkList = Annotated[list[Network], NoDecode, BeforeValidator(_split)]


def check_url(value: SecretStr | None) -> None:
    """Raise ValueError, without the value, for a URL with no usable host and port."""
    try:
        if value is not None:
            _ = urlsplit(value.get_secret_value()).port
    except ValueError:
        raise ValueError("its host or port cannot be read; quote special characters") from None
