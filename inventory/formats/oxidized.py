"""Oxidized's CSV source, usually ``router.db``, and the part of its configuration that explains it.

As in lib/oxidized/source/csv.rb and docs/Sources.md: a delimiter, the columns of a node in ``map``,
those of its variables in ``vars_map``, and ``model_map`` and ``group_map`` beside them. What a line
does not say is taken from the node's group, its model, and the top level, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from inventory.formats.platform_names import LEFT_OUT, ForeignPlatforms, UnknownPlatformName
from inventory.formats.records import (
    DeviceRecord,
    FileUnreadable,
    Login,
    Reading,
    port_number,
    quoted,
)

_MAX_COLUMN = 1000
_REGEXP_TAG = "!ruby/regexp"
_REGEXP = re.compile(r"/(?P<pattern>.*)/[imx]*", re.DOTALL)
#: A text in the form of a regular expression: each sign for itself, or a backslash before a sign.
_FIXED_TEXT = re.compile(r"(?:\\[^\w]|\\t|[^\\^$.|?*+()\[\]{}])+")
_MISSING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class OxidizedSource:
    """What Oxidized's configuration says about its nodes; the repr shows no secret."""

    delimiter: str = ":"
    #: Columns, from 0, by what stands in them.
    columns: Mapping[str, int] = field(default_factory=lambda: {"name": 0, "model": 1})
    vars_columns: Mapping[str, int] = field(default_factory=dict)
    model_map: Mapping[str, str] = field(default_factory=dict)
    group_map: Mapping[str, str] = field(default_factory=dict)
    #: Top level of the configuration: username, password, model, vars, groups, models.
    defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: Whether somebody has said all this; Oxidized's own default is two columns.
    is_given: bool = False


class _Loader(yaml.SafeLoader):
    """YAML of plain values, with Ruby's regular expressions as texts."""


def _as_text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "no text", node.start_mark)
    return str(loader.construct_scalar(node))


_Loader.add_constructor(_REGEXP_TAG, _as_text)


def read_oxidized_config(text: str) -> OxidizedSource:
    """What a configuration of Oxidized, or its part ``source: csv:``, says about its nodes.

    Raises FileUnreadable, whose problems quote no value.
    """
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise FileUnreadable([f"{where}not the YAML of an Oxidized configuration"]) from None
    top = _mapping(data, "the configuration")
    source = _mapping(top.get("source"), "source")
    # The part alone is enough, with or without what stands around it.
    part = _mapping(source.get("csv") or top.get("csv") or (top if "map" in top else {}), "csv")
    if "map" not in part:
        raise FileUnreadable(["there is no 'map' of columns in 'source: csv:'"])
    if part.get("gpg"):
        raise FileUnreadable(["the file is encrypted with GPG; decrypt it and leave 'gpg' out"])
    columns = _columns(part["map"], "map")
    if "name" not in columns:
        raise FileUnreadable(["map: there is no column for 'name'"])
    return OxidizedSource(
        delimiter=_delimiter(part.get("delimiter", ":")),
        columns=columns,
        vars_columns=_columns(part.get("vars_map"), "vars_map"),
        model_map=_names(top.get("model_map"), "model_map"),
        group_map=_names(top.get("group_map"), "group_map"),
        defaults=top,
        is_given=True,
    )


def read_oxidized(text: str, *, source: OxidizedSource, platforms: ForeignPlatforms) -> Reading:
    """The devices of an Oxidized CSV source; the group becomes a tag."""
    reading = Reading()
    needed = {**source.columns, **source.vars_columns}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"line {number}"
        cells = line.split(source.delimiter)
        if not source.is_given and len(cells) != len(needed):
            # A column that is taken for another one could put a password into a message.
            reading.problems.append(
                f"{place}: {len(cells)} columns, and not NAME:MODEL; say with --mapping which"
            )
            continue
        try:
            _read_node(_Node(cells, source), place, reading, platforms)
        except (UnknownPlatformName, ValueError) as error:
            reading.problems.append(f"{place}: {error}")
    if not reading.records and not reading.problems and not reading.left_out:
        reading.problems.append("the file has no devices")
    return reading


class _Node:
    """One line, with what Oxidized adds to it."""

    def __init__(self, cells: list[str], source: OxidizedSource) -> None:
        self._cells = cells
        self._source = source
        self.group = self._mapped("group", source.group_map)
        self.model = self._mapped("model", source.model_map) or _plain(source.defaults.get("model"))
        groups = _inner(source.defaults, "groups")
        of_group = _inner(groups, self.group)
        # Nearest first: the model within the group, the group, the model, all.
        self._levels = (
            _inner(_inner(of_group, "models"), self.model),
            of_group,
            _inner(_inner(source.defaults, "models"), self.model),
            source.defaults,
        )

    def value(self, key: str) -> str:
        """What the line or the configuration says about ``key``; empty for nothing."""
        return self._cell(self._source.columns.get(key)) or next(
            (text for level in self._levels if (text := _plain(level.get(key)))), ""
        )

    def variable(self, key: str) -> str:
        """The same of a variable."""
        return self._cell(self._source.vars_columns.get(key)) or next(
            (text for level in self._levels if (text := _plain(_inner(level, "vars").get(key)))), ""
        )

    def _cell(self, column: int | None) -> str:
        if column is None or column >= len(self._cells):
            return ""
        return _plain(self._cells[column])

    def _mapped(self, key: str, names: Mapping[str, str]) -> str:
        name = self._cell(self._source.columns.get(key))
        return names.get(name, name)


def _read_node(node: _Node, place: str, reading: Reading, platforms: ForeignPlatforms) -> None:
    name = node.value("name")
    if not name:
        raise ValueError("the name is empty")
    if not node.model:
        raise ValueError("there is no model, and no default one")
    platform = platforms.platform(node.model)
    if platform == LEFT_OUT:
        reading.left_out.append(f"{place}: {quoted(name)}: its model is to be left out")
        return
    is_telnet = node.value("input").replace(" ", "").lower() == "telnet"
    values: dict[str, Any] = {"transport": "telnet"} if is_telnet else {}
    port = node.variable("telnet_port" if is_telnet else "ssh_port")
    if port:
        values["port"] = port_number(port)
    if node.variable("ssh_proxy"):
        reading.note("ssh_proxy is not imported; make a jump host of it")
    reading.records.append(
        DeviceRecord(
            place=place,
            hostname=name,
            # Without an address Oxidized looks the name up; a prefix length it cuts off.
            ip_address=node.value("ip").partition("/")[0] or name,
            platform=platform,
            tags=(node.group,) if node.group else None,
            values=values,
            login=_login(node, reading),
        )
    )


def _login(node: _Node, reading: Reading) -> Login | None:
    username, password = node.value("username"), node.value("password")
    if not (username and password):
        reading.note("some devices have no user name or no password; give them a credential")
        return None
    return Login(
        username=username, password=password, enable_secret=node.variable("enable") or None
    )


def _plain(value: Any) -> str:
    """As ``node_var_interpolate`` of Oxidized reads it; true and false are no texts."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    text = str(value).strip()
    return "" if text in {"nil", "true", "false"} else text


def _inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key) if key else None
    return found if isinstance(found, Mapping) else _MISSING


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise FileUnreadable([f"{what}: these are no keys with values"])
    return value


def _columns(value: Any, what: str) -> Mapping[str, int]:
    columns = _mapping(value, what)
    for key, column in columns.items():
        if isinstance(column, bool) or not isinstance(column, int):
            raise FileUnreadable([f"{what}: the column of {quoted(key)} is no number"])
        if not 0 <= column <= _MAX_COLUMN:
            raise FileUnreadable(
                [f"{what}: the column of {quoted(key)} is not in 0..{_MAX_COLUMN}"]
            )
    return columns


def _names(value: Any, what: str) -> Mapping[str, str]:
    return {str(key): _plain(name) for key, name in _mapping(value, what).items()}


def _delimiter(value: Any) -> str:
    """A fixed text; of regular expressions those that fit one text only."""
    text = value if isinstance(value, str) else ""
    pattern = _REGEXP.fullmatch(text)
    if pattern is None:
        if not text:
            raise FileUnreadable(["delimiter: it is empty"])
        return text
    inner = pattern["pattern"]
    if not _FIXED_TEXT.fullmatch(inner):
        raise FileUnreadable(
            ["delimiter: only a fixed text is understood, such as /:/; write the file anew"]
        )
    return re.sub(r"\\(.)", lambda sign: "\t" if sign[1] == "t" else sign[1], inner)
