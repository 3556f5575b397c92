"""Which lines change by themselves, and which were changed by somebody."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.engine.line_shapes import NoPattern
from backups.engine.noise import NoisyLine, Revision, distinct_lines, noisy_lines, propose


def text(number: int) -> str:
    return f"""\
! Saved at 09:{number:02}:00 by {["alice", "bob", "carol"][number % 3]}
hostname core
ntp clock-period 17179{number * 13:03}
interface Tunnel1
 bandwidth {1000 + number * 7}
 mtu 1500
interface Tunnel2
 bandwidth 500
 description {"old" if number < 6 else "new"}
 state {"up" if number % 2 else "down"}
{"alarm raised" if number % 2 else "ntp server 192.0.2.1"}
end
"""


HISTORY = [Revision(text=text(number)) for number in range(12)]


def found(history: list[Revision]) -> dict[str, NoisyLine]:
    return {line.variants[0].split()[0]: line for line in noisy_lines(history)}


def test_noise_is_told_from_work() -> None:
    lines = found(HISTORY)
    assert set(lines) == {"!", "ntp", "bandwidth", "state", "alarm"}
    assert lines["bandwidth"].section == "interface Tunnel1"
    assert (lines["!"].flips, lines["!"].chances, lines["!"].share) == (11, 11, 1.0)
    assert set(lines["state"].variants) == {" state up", " state down"}
    assert lines["alarm"].comes_and_goes and not lines["state"].comes_and_goes


def test_reads_that_brought_nothing_new_count() -> None:
    calm = [Revision(text=text(number), read_count=3) for number in range(12)]
    assert noisy_lines(calm) == []
    often = [Revision(text=text(number), read_count=1 + number % 2) for number in range(12)]
    assert found(often)["bandwidth"].chances == 17


def test_few_changes_are_no_noise() -> None:
    assert noisy_lines(HISTORY[:5]) == []
    assert noisy_lines(HISTORY[:6]) != []
    assert noisy_lines([]) == noisy_lines(HISTORY[:1]) == []


def test_names_that_take_turns_are_one_line() -> None:
    history = [
        Revision(text=f"! by {name}\nend\n") for name in ["ann", "bob", "cid", "dan", "eve", "fay"]
    ]
    (line,) = noisy_lines(history)
    assert propose(line.variants, set(), drop=True)[0].pattern == "! by [A-Za-z]+$"


def test_one_change_by_somebody_does_not_widen_the_rule() -> None:
    texts = [f"ntp period {number}\nend\n" for number in range(9)]
    texts.append("ntp source loopback\nend\n")
    (line,) = noisy_lines([Revision(text=text) for text in texts])
    assert (
        propose(line.variants, distinct_lines(texts), drop=False)[0].pattern == r"ntp period (\d+)$"
    )


def test_a_rule_that_would_hide_other_lines_is_not_proposed() -> None:
    others = "".join(f"interface E{n}\n bandwidth {n * 1000}\n" for n in range(1, 20))
    texts = [f"{others}interface Tunnel1\n bandwidth {n}\n" for n in range(12)]
    (line,) = noisy_lines([Revision(text=text) for text in texts])
    assert line.section == "interface Tunnel1"
    with pytest.raises(NoPattern, match="19 other lines too, like ' bandwidth 1000'"):
        propose(line.variants, distinct_lines(texts), drop=False)


def test_other_lines_are_named() -> None:
    texts = [f"uptime {n}\nx\nuptime 99999\n" for n in range(12)]
    (line,) = noisy_lines([Revision(text=text) for text in texts])
    rule, others = propose(line.variants, distinct_lines(texts), drop=False)
    assert (rule.pattern, others) == (r"uptime (\d+)$", ["uptime 99999"])


def test_a_step_that_changes_everything_is_not_looked_at_whole() -> None:
    texts = ["".join(f"user{k} {n}\n" for k in range(600)) + f"load {n}\n" for n in range(12)]
    assert noisy_lines([Revision(text=text) for text in texts]) == []


_HISTORIES = st.lists(st.lists(st.text(max_size=12), max_size=6), max_size=12)


@settings(deadline=None)
@given(_HISTORIES)
def test_any_history_is_looked_at(history: list[list[str]]) -> None:
    texts = ["\n".join(lines) for lines in history]
    check(texts)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=8), st.integers(), st.sampled_from("ab")), min_size=8),
    st.text(max_size=10),
)
def test_a_proposed_rule_matches_all_examples(
    values: list[tuple[str, int, str]], word: str
) -> None:
    check([f"name {word} {number} {text} {turn}\nend\n" for text, number, turn in values])


def check(texts: list[str]) -> None:
    for line in noisy_lines([Revision(text=text) for text in texts]):
        assert line.examples and 0.5 < line.share <= 1
        try:
            rule, _ = propose(line.variants, distinct_lines(texts), drop=line.comes_and_goes)
        except NoPattern as error:
            assert "\n" not in str(error)
            continue
        assert all(re.match(rule.pattern, variant) for variant in line.variants)


def test_hostile_histories_take_no_longer_than_others() -> None:
    texts = ["".join(f"word{k} {n} {'x' * 90}{n * k}\n" for k in range(5_000)) for n in range(30)]
    begun = time.process_time()
    check(texts)
    # Measured: 2 s.
    assert time.process_time() - begun < 20
