"""Logging in: sessions, tokens, guessing, headers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from netraven_site.accounts.roles import Role
from netraven_site.models import ApiToken
from tests.factories import user_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

API = "/api/v1/"
PASSWORD = "Correct-horse-battery-1"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def user() -> User:
    viewer = user_in(Role.VIEWER)
    viewer.set_password(PASSWORD)
    viewer.save()
    return viewer


def log_in(client: Client, user: User, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(
        f"{API}token/",
        {"username": user.username, "password": password},
        content_type="application/json",
        **extra,
    )


def on_page(client: Client, user: User, password: str = PASSWORD) -> Any:
    return client.post("/admin/login/", {"username": user.username, "password": password})


def devices(authorization: str) -> int:
    return Client().get(f"{API}devices/", headers={"Authorization": authorization}).status_code


# --- API tokens ---------------------------------------------------------------------------------


@pytest.fixture
def make_token(client: Client, user: User) -> Callable[..., Any]:
    client.force_login(user)

    def make(**body: Any) -> Any:
        answer = client.post(
            f"{API}tokens/", {"name": "ansible", **body}, content_type="application/json"
        )
        assert answer.status_code == 201, answer.content
        return answer.json()

    return make


def test_a_token_works_until_it_is_revoked(make_token: Any, client: Client, user: User) -> None:
    made = make_token()
    authorization = f"Token {made['token']}"
    assert devices(authorization) == 200
    listed = client.get(f"{API}tokens/").json()["results"]
    assert [(row["id"], row["name"], row["user"]) for row in listed] == [
        (made["id"], "ansible", user.username)
    ]
    assert "token" not in listed[0]
    assert client.delete(f"{API}tokens/{made['id']}/").status_code == 204
    assert devices(authorization) == 401


def test_only_a_hash_of_a_token_is_stored(make_token: Any) -> None:
    token = make_token()["token"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM netraven_site_apitoken")
        stored = str(cursor.fetchall())
    assert token not in stored and token[15:] not in stored
    assert token not in str(ApiToken.objects.get())


def test_a_token_ends_when_its_time_is_over(make_token: Any, configure: Any) -> None:
    configure(api_token_days=30)
    for body, days in (({}, 30), ({"days": 3}, 3)):
        expiry = ApiToken.objects.get(token_key=make_token(**body)["id"]).expiry
        assert abs(expiry - timezone.now() - timedelta(days=days)) < timedelta(hours=1)
    made = make_token()
    ApiToken.objects.filter(token_key=made["id"]).update(expiry=timezone.now())
    assert devices(f"Token {made['token']}") == 401


def test_a_token_of_an_inactive_user_is_refused(make_token: Any, user: User) -> None:
    authorization = f"Token {make_token()['token']}"
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert devices(authorization) == 401


def test_a_token_makes_no_other(make_token: Any) -> None:
    headers = {"Authorization": f"Token {make_token()['token']}"}
    answer = Client().post(
        f"{API}tokens/", {"name": "x"}, content_type="application/json", headers=headers
    )
    assert answer.status_code == 403
    assert ApiToken.objects.count() == 1


def test_tokens_of_others_are_for_the_admin(make_token: Any) -> None:
    made = make_token()
    stranger, admin = Client(), Client()
    stranger.force_login(user_in(Role.OPERATOR))
    admin.force_login(user_in(Role.ADMIN))
    assert stranger.get(f"{API}tokens/").json()["count"] == 0
    assert stranger.delete(f"{API}tokens/{made['id']}/").status_code == 404
    assert admin.delete(f"{API}tokens/{made['id']}/").status_code == 204


# --- JWT ----------------------------------------------------------------------------------------


def test_forged_and_expired_tokens_are_refused(user: User) -> None:
    good = AccessToken.for_user(user)
    assert devices(f"Bearer {good}") == 200
    header, body, signature = str(good).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    old = AccessToken.for_user(user)
    old.set_exp(lifetime=timedelta(seconds=-1))
    for token in (
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{header}.{body}.{signature[:-2]}AA",
        str(old),
        str(RefreshToken.for_user(user)),
        "x",
    ):
        assert devices(f"Bearer {token}") == 401, token
    assert devices("Token " + "0" * 64) == 401
    assert devices("Token x y") == 401


def test_a_changed_password_ends_the_tokens_got_with_the_old_one(user: User) -> None:
    pair = log_in(Client(), user).json()
    assert devices(f"Bearer {pair['access']}") == 200
    user.set_password("Another-horse-battery-2")
    user.save()
    assert devices(f"Bearer {pair['access']}") == 401
    refreshed = Client().post(
        f"{API}token/refresh/", {"refresh": pair["refresh"]}, content_type="application/json"
    )
    assert devices(f"Bearer {refreshed.json().get('access')}") == 401


# --- Guessing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [log_in, on_page])
def test_who_guesses_is_locked_out_at_every_door(
    client: Client, user: User, door: Callable[..., Any]
) -> None:
    statuses = [door(client, user, f"wrong-{number}").status_code for number in range(20)]
    assert 429 in statuses and set(statuses[statuses.index(429) :]) == {429}
    assert statuses.index(429) <= django_settings.AXES_FAILURE_LIMIT
    for locked in (log_in, on_page):
        answer = locked(client, user)
        assert answer.status_code == 429, "with the right password too"
    assert log_in(client, user).json()["error"]["code"] == "locked_out"
    assert "_auth_user_id" not in client.session


def test_a_stranger_elsewhere_locks_nobody_out(client: Client, user: User) -> None:
    for number in range(20):
        log_in(client, user, f"wrong-{number}", REMOTE_ADDR="198.51.100.7")
    assert log_in(client, user, REMOTE_ADDR="198.51.100.7").status_code == 429
    assert log_in(client, user, REMOTE_ADDR="192.0.2.7").status_code == 200


def test_attempts_of_one_address_are_limited(client: Client, user: User, configure: Any) -> None:
    configure(login_attempts_per_minute=3)
    for door in (log_in, on_page):
        assert [door(client, user).status_code for _ in range(4)][-1] == 429
        assert door is on_page or log_in(client, user, REMOTE_ADDR="192.0.2.7").status_code == 200


def test_a_header_that_anybody_can_write_is_believed_behind_a_proxy_only(
    client: Client, user: User, configure: Any
) -> None:
    configure(login_attempts_per_minute=2)
    for number in range(4):
        last = log_in(client, user, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")
    assert last.status_code == 429
    configure(login_attempts_per_minute=2, trusted_proxies=1)
    for number in range(4):
        chain = f"203.0.113.{number}, 192.0.2.9"
        last = log_in(client, user, HTTP_X_FORWARDED_FOR=chain)
    assert last.status_code == 429, "the proxy saw one and the same address"
    assert log_in(client, user, HTTP_X_FORWARDED_FOR="192.0.2.10").status_code == 200


@pytest.mark.parametrize("password", ["Short-1", "password1234", "123456789012", "viewer-anna-1"])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, User(username="viewer-anna"))


# --- Headers and settings -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/login/", f"{API}devices/", "/healthz", "/admin/nothing/"])
def test_every_answer_has_the_headers_that_bind_the_browser(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe-inline" not in policy["script-src"] and "http" not in str(policy)
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_session_cookie_is_for_the_browser_alone(client: Client, user: User) -> None:
    cookie = on_page(client, user).cookies["sessionid"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    assert int(cookie["max-age"]) == 12 * 3600
    refused = Client(enforce_csrf_checks=True)
    assert on_page(refused, user).status_code == 403


def test_the_check_for_deployment_finds_nothing(tmp_path: Path) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NETRAVEN_", "DATABASE_URL", "REDIS_URL"))
    } | {
        "NETRAVEN_DATA_DIR": str(tmp_path),
        "NETRAVEN_HTTPS": "true",
        "NETRAVEN_ALLOWED_HOSTS": "netraven.example.org",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", "check", "--deploy", "--fail-level", "INFO"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout + done.stderr


def test_what_somebody_typed_as_password_is_not_kept(client: Client, user: User) -> None:
    on_page(client, user, "Canary-typed-by-mistake")
    log_in(client, user, "Canary-typed-by-mistake")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM axes_accessattempt")
        assert "Canary" not in json.dumps(cursor.fetchall(), default=str)


def test_a_name_that_nobody_has_is_counted_and_not_kept(client: Client, configure: Any) -> None:
    stranger = User(username="Canary-typed-by-mistake")
    for _ in range(12):
        answer = log_in(client, stranger, "x")
    assert answer.status_code == 429
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM axes_accessattempt")
        rows = cursor.fetchall()
    assert rows and "Canary" not in json.dumps(rows, default=str)
