"""What differs between two hierarchical configurations, without regard to order that means nothing.

hier_config takes the texts apart: it knows indentation, banners and the templates of IOS XR. Only
its structure is used. Its drivers are made for remediation and leave out or rewrite lines on the
way in (``version``, ``speed`` and ``duplex`` on IOS XR, ``boot system`` on NX-OS, remarks and
numbers of access lists), which a comparison must not do; and its own ``unified_diff`` ignores
order everywhere. So lines are kept as they are, and the trees are compared here.

Left out are only lines that say nothing: separators, comments, ``exit`` and ``end``. Blanks inside
a line count as one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hier_config import HConfigChild, Platform, get_hconfig, get_hconfig_driver
from hier_config.exceptions import DuplicateChildError
from hier_config.models import MatchRule, ParentAllowsDuplicateChildRule, PerLineSubRule
from hier_config.platforms.driver_base import HConfigDriverRules

from backups.engine.diff.errors import NoSemanticDiff
from backups.engine.diff.lines import align

#: Lines of one text; measured: two texts of 100 000 take 7 s on a busy machine.
_MOST_LINES = 30_000
#: Sections inside sections. Configurations have up to ten; the library walks them by recursion.
_DEEPEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    platform: Platform
    #: Whole lines that say nothing.
    silent: str
    #: Headings of sections in which the order of all lines counts.
    ordered_section: re.Pattern[str]
    #: Lines whose order counts among those with the same first group.
    ordered_lines: re.Pattern[str]


_CISCO_SILENT = (
    r"^\s*(?:!.*|exit|end|exit-[a-z-]+|"
    r"end-(?:policy|set|group|template|class-map|policy-map))\s*$"
)
_CISCO_SECTION = re.compile(
    r"(?:(?:ip|ipv4|ipv6|mac|arp) )?"
    r"(?:access-list|prefix-list|as-path access-list|community-list)\b"
    r"|(?:policy-map|route-policy|class-map)\b"
    r"|(?:prefix|as-path|community|extcommunity|large-community|rd)-set\b"
    r"|(?:aaa group server|event manager applet|macro name|vlan access-map)\b"
    r"|crypto (?:map|pki certificate)\b"
)
_CISCO_LINES = re.compile(
    r"((?:(?:ip|ipv4|ipv6|mac) )?(?:access-list|prefix-list|as-path access-list|community-list"
    r"(?: (?:standard|expanded))?) \S+"
    r"|route-map \S+|ip name-server|ip domain[- ]list|boot (?:system|nxos)"
    r"|(?:tacacs|radius)(?:-server host| server))\b"
)
_NOTHING = re.compile(r"(?!)")


def _cisco_like(platform: Platform) -> _Dialect:
    return _Dialect(
        platform=platform,
        silent=_CISCO_SILENT,
        ordered_section=_CISCO_SECTION,
        ordered_lines=_CISCO_LINES,
    )


#: Braces or ``set`` lines. The library would rewrite braces into ``set`` lines and lose the path
#: of statements that begin with ``set`` or ``delete``; indentation tells all that is needed.
_JUNOS = _Dialect(
    platform=Platform.GENERIC,
    silent=r"^\s*(?:\}.*|#.*|/\*.*\*/)\s*$",
    ordered_section=re.compile(
        r"(?:(?:inactive|protect): )?(?:filter|policy-statement|policies|from-zone|rule-set"
        r"|authentication-order|name-server|radius-server|tacplus-server)\b"
    ),
    ordered_lines=re.compile(
        r"set (firewall (?:family \S+ )?filter \S+|policy-options policy-statement \S+"
        r"|security policies|security nat \S+ rule-set \S+"
        r"|system (?:name-server|authentication-order|radius-server|tacplus-server))"
    ),
)
_SET_LINES = _Dialect(
    platform=Platform.GENERIC,
    silent=r"^\s*(?:\}|#.*|/\*.*\*/)\s*$",
    ordered_section=_NOTHING,
    # Rules of filters and policies bear numbers; the order of their lines means nothing.
    ordered_lines=re.compile(r"set (system name-server)\b"),
)

_DIALECTS: Mapping[str, _Dialect] = {
    "arista_eos": _cisco_like(Platform.ARISTA_EOS),
    "aruba_aoscx": _cisco_like(Platform.ARUBA_AOSCX),
    "cisco_ios": _cisco_like(Platform.CISCO_IOS),
    "cisco_nxos": _cisco_like(Platform.CISCO_NXOS),
    "cisco_xe": _cisco_like(Platform.CISCO_IOS),
    "cisco_xr": _cisco_like(Platform.CISCO_XR),
    "juniper_junos": _JUNOS,
    "ubiquiti_edgerouter": _SET_LINES,
    "vyos": _SET_LINES,
}


def semantic_platforms() -> tuple[str, ...]:
    """Names of the platforms whose configurations can be compared, sorted."""
    return tuple(sorted(_DIALECTS))


def semantic_diff(platform: str, old: str, new: str) -> str:
    """The difference as lines that begin with ``-``, ``+`` or, for a heading, a blank.

    Sections and lines may stand in any order, except where order decides: access lists, prefix
    lists, route maps and policies, server groups, filters. Empty when nothing else differs.
    ``platform`` is the name of a platform definition. Raises NoSemanticDiff.
    """
    dialect = _DIALECTS.get(platform)
    if dialect is None:
        raise NoSemanticDiff(
            f"there is no semantic diff for {platform}; there is one for: "
            f"{', '.join(semantic_platforms())}"
        )
    lines = _compare(_tree(dialect, old), _tree(dialect, new), in_order=False)
    return "".join(f"{line}\n" for line in lines)


@dataclass(slots=True)
class _Node:
    """A line with the lines below it, or, without a text, a group of lines in order."""

    key: str
    line: str | None
    in_order: bool = False
    below: list[_Node] = field(default_factory=list)


def _tree(dialect: _Dialect, text: str) -> list[_Node]:
    _check_size(text)
    driver = get_hconfig_driver(dialect.platform)
    anything = MatchRule()
    driver.rules = HConfigDriverRules(
        indent_adjust=driver.rules.indent_adjust,
        per_line_sub=[PerLineSubRule(search=dialect.silent, replace="")],
        parent_allows_duplicate_child=[
            ParentAllowsDuplicateChildRule(match_rules=(anything,) * depth)
            for depth in range(1, _DEEPEST + 1)
        ],
    )
    try:
        root = get_hconfig(driver, text)
    except DuplicateChildError as error:
        raise NoSemanticDiff(f"{_one_line(error)}; compare the plain texts") from error
    except ValueError as error:  # the library has no class of its own for this
        raise NoSemanticDiff("a banner has no end; compare the plain texts") from error
    return _nodes(dialect, root.children, in_order=False)


def _check_size(text: str) -> None:
    if text.count("\n") > _MOST_LINES:
        raise NoSemanticDiff(
            f"the configuration has more than {_MOST_LINES} lines; compare the plain texts"
        )
    indents: list[int] = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        while indents and indents[-1] >= indent:
            indents.pop()
        indents.append(indent)
        if len(indents) > _DEEPEST:
            raise NoSemanticDiff(
                f"sections are nested more than {_DEEPEST} deep; compare the plain texts"
            )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _nodes(dialect: _Dialect, children: Iterable[HConfigChild], *, in_order: bool) -> list[_Node]:
    """The children as nodes; lines of an ordered group stand together, where the first stood."""
    nodes: list[_Node] = []
    groups: dict[str, _Node] = {}
    for child in children:
        ordered = in_order or dialect.ordered_section.match(child.text) is not None
        below = _nodes(dialect, child.children, in_order=ordered)
        line = f"{' ' * child.real_indent_level}{child.text}"
        node = _Node(child.text, line, ordered, below)
        group = None if in_order or (below and ordered) else dialect.ordered_lines.match(child.text)
        if group is None:
            nodes.append(node)
            continue
        if group[1] not in groups:
            groups[group[1]] = _Node(f"\n{group[1]}", None, in_order=True)
            nodes.append(groups[group[1]])
        groups[group[1]].below.append(node)
    return nodes


def _compare(old: Sequence[_Node], new: Sequence[_Node], *, in_order: bool) -> Iterator[str]:
    walk = _in_order(old, new) if in_order else _in_any_order(old, new)
    for sign, before, after in walk:
        if sign != " ":
            yield from _whole(before, sign)
            continue
        differing = _compare(before.below, after.below, in_order=before.in_order)
        first = next(differing, None)
        if first is None:
            continue
        if before.line is not None:
            yield f" {before.line}"
        yield first
        yield from differing


#: A blank with both nodes of a pair, or the sign of a node (twice) that has none.
_Walk = Iterator[tuple[str, _Node, _Node]]


def _in_order(old: Sequence[_Node], new: Sequence[_Node]) -> _Walk:
    old_at, new_at = 0, 0
    for change in align([node.key for node in old], [node.key for node in new]):
        yield from _alike(old[old_at : change.old_start], new[new_at : change.new_start])
        yield from _single("-", old[change.old_start : change.old_end])
        yield from _single("+", new[change.new_start : change.new_end])
        old_at, new_at = change.old_end, change.new_end
    yield from _alike(old[old_at:], new[new_at:])


def _in_any_order(old: Sequence[_Node], new: Sequence[_Node]) -> _Walk:
    """Nodes with equal keys as pairs; a new one follows the pair that it follows in ``new``."""
    old_keys, new_keys = _numbered(old), _numbered(new)
    partner = dict(zip(new_keys, new, strict=True))
    known = set(old_keys)
    follows: defaultdict[tuple[str, int] | None, list[_Node]] = defaultdict(list)
    last = None
    for key, node in zip(new_keys, new, strict=True):
        if key in known:
            last = key
        else:
            follows[last].append(node)
    waiting = follows[None]
    for key, node in zip(old_keys, old, strict=True):
        if key not in partner:
            yield "-", node, node
            continue
        yield from _single("+", waiting)
        yield " ", node, partner[key]
        waiting = follows[key]
    yield from _single("+", waiting)


def _alike(old: Sequence[_Node], new: Sequence[_Node]) -> _Walk:
    for before, after in zip(old, new, strict=True):
        yield " ", before, after


def _single(sign: str, nodes: Iterable[_Node]) -> _Walk:
    for node in nodes:
        yield sign, node, node


def _numbered(nodes: Sequence[_Node]) -> list[tuple[str, int]]:
    """The keys, each with the number of equal ones before it."""
    seen: Counter[str] = Counter()
    keys = []
    for node in nodes:
        keys.append((node.key, seen[node.key]))
        seen[node.key] += 1
    return keys


def _whole(node: _Node, sign: str) -> Iterator[str]:
    if node.line is not None:
        yield from (f"{sign}{line}" for line in node.line.split("\n"))  # a banner has several
    for below in node.below:
        yield from _whole(below, sign)
