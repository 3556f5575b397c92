"""RANCID's ``router.db`` and ``.cloginrc``: router.db(5) and cloginrc(5) of RANCID 2 and 3."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inventory.formats.platform_names import LEFT_OUT, ForeignPlatforms, UnknownPlatformName
from inventory.formats.records import DeviceRecord, Login, Reading, port_number, quoted

#: Directives that say how to log in; all others are about prompts, ciphers and times.
_USED = frozenset(
    {
        "autoenable",
        "identity",
        "method",
        "noenable",
        "password",
        "user",
        "userpassword",
        "enauser",
    }
)
_OWN_USER = {"$env(USER)", "$env(LOGNAME)", "$env(CLOGIN)"}


class _NotTcl(ValueError):
    """A line is no list of words."""


@dataclass(frozen=True, slots=True)
class _Directive:
    """``add NAME GLOB VALUE …``; the values may be secret."""

    name: str
    glob: str
    values: tuple[str, ...] = field(repr=False)


def read_rancid(
    text: str,
    *,
    platforms: ForeignPlatforms,
    cloginrc: str | None = None,
    default_user: str | None = None,
) -> Reading:
    """The devices of a ``router.db``; those that are not ``up`` are inactive.

    ``cloginrc`` gives each its login and transport. ``default_user`` stands for the user that
    RANCID ran as, which it logs in with where no directive names one.
    """
    reading = Reading()
    directives = None if cloginrc is None else _directives(cloginrc, reading)
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        _read_line(stripped, f"line {number}", reading, platforms, directives, default_user)
    if directives is None:
        reading.note("no logins were read: name the file .cloginrc to have them as credentials")
    if not reading.records and not reading.problems and not reading.left_out:
        reading.problems.append("the file has no devices")
    return reading


def _read_line(
    line: str,
    place: str,
    reading: Reading,
    platforms: ForeignPlatforms,
    directives: Sequence[_Directive] | None,
    default_user: str | None,
) -> None:
    # Since version 3 the separator is a semicolon, because IPv6 addresses have colons.
    separator = ";" if ";" in line else ":"
    name, *rest = (part.strip() for part in line.split(separator, 3))
    if len(rest) < 2 or not all((name, *rest[:2])):
        reading.problems.append(f"{place}: a line is NAME;TYPE;STATE and perhaps a comment")
        return
    try:
        platform = platforms.platform(rest[0])
        way = {} if directives is None else _way(name, directives)
        login = None if directives is None else _login(name, directives, default_user, reading)
    except (UnknownPlatformName, ValueError) as error:
        reading.problems.append(f"{place}: {error}")
        return
    if platform == LEFT_OUT:
        reading.left_out.append(f"{place}: {name}: its type is to be left out")
        return
    is_up = rest[1].lower() == "up"
    comment = rest[2] if len(rest) > 2 else ""
    values: dict[str, Any] = {"is_active": is_up, **way}
    if comment or not is_up:
        state = "" if is_up else rest[1]
        values["description"] = ": ".join(part for part in (state, comment) if part)[:255]
    reading.records.append(
        DeviceRecord(
            place=place,
            hostname=name,
            ip_address=name,
            platform=platform,
            values=values,
            login=login,
        )
    )


def _directives(text: str, reading: Reading) -> list[_Directive]:
    """Those that say how to log in; adds a problem for each line that cannot be read."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        place = f".cloginrc line {number}"
        try:
            words = list(_words(stripped))
        except _NotTcl as error:
            reading.problems.append(f"{place}: {error}")
            continue
        if not words:  # nothing but a comment behind a separator
            continue
        if words[0] == "include":
            reading.problems.append(
                f"{place}: other files are not included; put their lines in its place"
            )
        elif words[:2] == ["add", "noenable"] and len(words) == 3:
            found.append(_Directive("noenable", words[2], ("1",)))
        elif words[0] != "add" or len(words) < 4:
            reading.problems.append(f"{place}: a line is 'add DIRECTIVE GLOB {{VALUE}}'")
        elif words[1].lower() in _USED:
            found.append(_Directive(words[1].lower(), words[2], tuple(words[3:])))
    return found


def _words(line: str) -> Iterator[str]:
    """The words of a line of Tcl: in braces, in quotes or bare, with backslashes before signs."""
    position = 0
    while position < len(line):
        if line[position].isspace():
            position += 1
            continue
        if line[position] == "#" or line[position : position + 2] == ";#":
            return  # a comment behind the directive
        word, position = _word(line, position)
        yield word


def _word(line: str, start: int) -> tuple[str, int]:
    opening = line[start]
    is_braced, is_quoted = opening == "{", opening == '"'
    position = start + (1 if is_braced or is_quoted else 0)
    depth, letters = 1, []
    while position < len(line):
        sign = line[position]
        if sign == "\\" and position + 1 < len(line):
            letters.append(line[position + 1])
            position += 2
            continue
        if is_braced and sign in "{}":
            depth += 1 if sign == "{" else -1
            if depth == 0:
                return "".join(letters), position + 1
        elif is_quoted and sign == '"':
            return "".join(letters), position + 1
        elif not is_braced and not is_quoted and sign.isspace():
            break
        letters.append(sign)
        position += 1
    if is_braced or is_quoted:
        raise _NotTcl("a brace or a quote is not closed")
    return "".join(letters), position


def _find(name: str, directive: str, directives: Sequence[_Directive]) -> tuple[str, ...] | None:
    """The values of the first one that fits: RANCID takes no better one that follows."""
    for one in directives:
        if one.name == directive and fnmatch.fnmatchcase(name.lower(), one.glob.lower()):
            return one.values
    return None


def _way(name: str, directives: Sequence[_Directive]) -> Mapping[str, Any]:
    """Transport and port. SSH wherever it is named, because nothing is told in clear then."""
    methods = _find(name, "method", directives)
    if methods is None:
        return {}
    named = {way: port for way, _, port in (one.lower().partition(":") for one in methods)}
    transport = next((one for one in ("ssh", "telnet") if one in named), None)
    if transport is None:
        raise ValueError(f"method: {quoted(methods[0])} is neither ssh nor telnet")
    port = named[transport]
    # Without one of its own a device keeps the port that is stored, or gets that of its transport.
    return {"transport": transport, **({"port": port_number(port)} if port else {})}


def _login(
    name: str, directives: Sequence[_Directive], default_user: str | None, reading: Reading
) -> Login | None:
    passwords = _find(name, "password", directives)
    own_password = _find(name, "userpassword", directives)
    if passwords is None and own_password is None:
        reading.note(f"{name}: .cloginrc has no password for it")
        return None
    user = (_find(name, "user", directives) or ("",))[0]
    if not user or user in _OWN_USER:
        user = default_user or ""
    if not user:
        raise ValueError(
            "no user: RANCID would take that of its own account; say with --default-user which"
        )
    if _find(name, "identity", directives):
        reading.note(f"{name}: .cloginrc names a key file; give the key to its credential")
    if _find(name, "enauser", directives):
        reading.note(f"{name}: 'enauser' is not supported; enable asks for no user name")
    is_enabled = any(
        (_find(name, directive, directives) or ("0",))[0] == "1"
        for directive in ("autoenable", "noenable")
    )
    enable = passwords[1] if passwords is not None and len(passwords) > 1 else None
    password = own_password[0] if own_password is not None else (passwords or ("",))[0]
    if not password:
        raise ValueError("the password in .cloginrc is empty")
    return Login(
        username=user,
        password=password,
        enable_secret=None if is_enabled or not enable else enable,
    )
