"""Places of secrets are found again wherever they stand, and dated by the tokens in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.secret_places import (
    LONGEST_PLACE,
    MOST_PLACES,
    DatedPlace,
    PlaceKey,
    SecretPlace,
    places_after,
    secret_places,
)

A, B, C = (f"<redacted:{digit * 8}>" for digit in "abc")
CONSTANT = "<redacted:constant>"
START = datetime(2026, 1, 1, tzinfo=UTC)


def replay(*texts: str) -> dict[PlaceKey, DatedPlace]:
    """The dated places after revisions that were collected a day apart."""
    after: dict[PlaceKey, DatedPlace] = {}
    for day, text in enumerate(texts):
        after = places_after(after, secret_places(text), START + timedelta(days=day))
    return after


def days(after: dict[PlaceKey, DatedPlace]) -> dict[tuple[str, str], tuple[int, int]]:
    """Days of the first sight and of the last change by place and first digit of the token."""
    return {
        (dated.place.place, dated.place.token[:1]): (
            (dated.first_seen_at - START).days,
            (dated.changed_at - START).days,
        )
        for dated in after.values()
    }


def shown(text: str) -> list[tuple[str, int, int, str]]:
    return [
        (place.place, place.occurrence, place.line_number, place.token[:1])
        for place in secret_places(text)
    ]


# --- Places -------------------------------------------------------------------------------------


def test_a_place_is_the_line_without_its_tokens() -> None:
    text = f"hostname a\nuser x md5 {A} priv {B} {CONSTANT}\n"
    place = "user x md5 <redacted> priv <redacted>"
    assert shown(text) == [(place, 0, 2, "a"), (place, 1, 2, "b"), (place, 2, 2, "")]
    assert secret_places("hostname a\n<redacted:xyz> <redacted>\n[REDACTED LINE]\n") == []


def test_headings_tell_equal_lines_apart() -> None:
    places = secret_places(f"interface a\n key {A}\ninterface b\n key {A}\n")
    assert [place.occurrence for place in places] == [0, 0]
    assert places[0].place_digest != places[1].place_digest
    moved = secret_places(f"interface b\n key {A}\n!\ninterface a\n key {A}\n")
    assert {place.key for place in moved} == {place.key for place in places}


def test_a_token_in_a_heading_does_not_count() -> None:
    first = secret_places(f"server {A} port 1\n key {B}\n")[1]
    second = secret_places(f"server {C} port 1\n key {B}\n")[1]
    assert first == second


@pytest.mark.parametrize(
    "key",
    [
        f"{A}\n{A}\n{A}\n",
        f"{A}\n",
        f" {A}\n {A}\n",
        f'"{A}";\n',
    ],
)
def test_the_lines_of_a_key_are_one_place(key: str) -> None:
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{key}-----END RSA PRIVATE KEY-----\n"
    assert shown(text * 2) == [
        ("-----BEGIN RSA PRIVATE KEY----- <redacted>", 0, 2, "a"),
        ("-----BEGIN RSA PRIVATE KEY----- <redacted>", 1, 4 + key.count("\n"), "a"),
    ]


def test_a_key_within_one_line_is_one_place_however_long_it_is() -> None:
    short = secret_places(f'set key "{A}\\n{A}\\n"\n')
    long = secret_places(f'set key "{A}\\n{A}\\n{A}\\n"\n')
    assert len(short) == 1 and short == long


def test_long_lines_are_shown_in_part_and_told_apart() -> None:
    long = "x" * 400
    places = secret_places(f"{long} 1 {A}\n{long} 2 {A}\n")
    assert [place.place for place in places] == ["x" * LONGEST_PLACE] * 2
    assert places[0].place_digest != places[1].place_digest


def test_a_hostile_text_has_an_end() -> None:
    text = "".join(f"key {number} {A}\n" for number in range(MOST_PLACES + 10))
    assert len(secret_places(text)) == MOST_PLACES
    assert len(secret_places(f"{A} {B} " * 200_000)) == 2
    assert len(secret_places(f"{A}\n{B}\n" * 50_000)) == MOST_PLACES


# --- Dates --------------------------------------------------------------------------------------


def test_another_token_is_a_change_and_an_equal_one_is_none() -> None:
    assert days(replay(f"key {A}\n", f"key {A}\nx\n", f"key {B}\n")) == {
        ("key <redacted>", "b"): (0, 2)
    }
    assert days(replay(f"key {A}\n", "x\n" + f"key {A}\n")) == {("key <redacted>", "a"): (0, 0)}


def test_what_is_gone_begins_anew_when_it_comes_back() -> None:
    assert replay(f"key {A}\n", "x\n") == {}
    assert days(replay(f"key {A}\n", "x\n", f"key {A}\n")) == {("key <redacted>", "a"): (2, 2)}


def test_equal_lines_keep_their_dates_in_any_order() -> None:
    place = "community <redacted>"
    first = f"community {A}\ncommunity {B}\n"
    turned = f"community {C}\ncommunity {B}\ncommunity {A}\n"
    assert days(replay(first, turned)) == {
        (place, "a"): (0, 0),
        (place, "b"): (0, 0),
        (place, "c"): (1, 1),
    }
    assert days(replay(first, f"community {B}\n")) == {(place, "b"): (0, 0)}
    assert days(replay(first, f"community {C}\ncommunity {B}\n")) == {
        (place, "c"): (0, 1),
        (place, "b"): (0, 0),
    }


_LINES = st.sampled_from(
    [
        *(f"community {token}" for token in (A, B, C, CONSTANT)),
        *(f" key {token}" for token in (A, B)),
        *(f" md5 {token} priv {other}" for token in (A, B) for other in (A, C)),
        "interface a",
        "interface b",
        A,
        B,
        "!",
    ]
)
_TEXTS = st.lists(_LINES, max_size=12).map(lambda lines: "".join(f"{line}\n" for line in lines))


def without_dates(after: dict[PlaceKey, DatedPlace]) -> list[SecretPlace]:
    return sorted(
        (dated.place for dated in after.values()), key=lambda it: (it.line_number, it.key)
    )


@given(st.lists(_TEXTS, min_size=1, max_size=6))
def test_after_any_history_stands_what_stands_in_the_last_text(texts: list[str]) -> None:
    after = replay(*texts)
    assert without_dates(after) == without_dates(replay(texts[-1]))
    last = START + timedelta(days=len(texts) - 1)
    for key, dated in after.items():
        assert key == dated.place.key
        assert START <= dated.first_seen_at <= dated.changed_at <= last


@given(
    st.lists(st.sampled_from([f" key {A}", f" key {B}", f" md5 {A} {C}"])), st.permutations("xyz")
)
def test_sections_in_another_order_change_nothing(lines: list[str], order: list[str]) -> None:
    first, second = (
        "".join(f"interface {name}\n" + "".join(f"{line}\n" for line in lines) for name in names)
        for names in ("xyz", order)
    )
    assert all(dated.changed_at == START for dated in replay(first, second).values())
