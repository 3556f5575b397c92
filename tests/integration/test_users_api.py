"""Users in the API: made, given roles and limits, and never more than the caller may give."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from credentials.models import TagLimit
from credentials.services import tags_ensure
from netraven_site.accounts.roles import Role
from tests.factories import UserFactory, user_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

PASSWORD = "Correct-horse-battery-1"
Call = Callable[..., tuple[int, Any]]


def caller(user: User) -> Call:
    client = Client()
    client.force_login(user)

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        text = json.dumps(body or {})
        path = f"/api/v1/users/{path}"
        answer = client.generic(method, path, text, content_type="application/json")
        return answer.status_code, answer.json() if answer.content else None

    return ask


@pytest.fixture
def admin() -> User:
    return user_in(Role.ADMIN)


@pytest.fixture
def call(admin: User) -> Call:
    return caller(admin)


def test_a_user_is_made_with_roles_and_limit(call: Call) -> None:
    body = {
        "username": "anna",
        "password": PASSWORD,
        "roles": ["operator", "raw-reader"],
        "tag_limit": ["berlin"],
    }
    status, made = call("POST", "", body)
    assert status == 201, made
    assert made["roles"] == ["operator", "raw-reader"] and made["tag_limit"] == ["berlin"]
    assert "password" not in made and made["is_staff"] and not made["is_superuser"]
    anna = User.objects.get(username="anna")
    assert anna.check_password(PASSWORD)
    assert anna.has_perm("jobs.run_job") and anna.has_perm("backups.read_raw_archive")
    assert [tag.name for tag in anna.tag_limit.tags.all()] == ["berlin"]
    client = Client()
    pair = client.post(
        "/api/v1/token/",
        {"username": "anna", "password": PASSWORD},
        content_type="application/json",
    )
    assert pair.status_code == 200


def test_roles_and_limit_are_changed_and_lifted(call: Call) -> None:
    user = user_in(Role.VIEWER)
    own = Group.objects.create(name="night shift")
    user.groups.add(own)
    path = f"{user.pk}/"
    assert call("PATCH", path, {"roles": ["operator"]})[1]["roles"] == ["operator"]
    assert set(user.groups.values_list("name", flat=True)) == {"operator", "night shift"}
    assert call("PATCH", path, {"tag_limit": []})[1]["tag_limit"] == []
    assert TagLimit.objects.filter(user=user).exists(), "limited to nothing"
    assert call("PATCH", path, {"first_name": "Anna"})[1]["tag_limit"] == []
    assert call("PATCH", path, {"tag_limit": None})[1]["tag_limit"] is None
    assert not TagLimit.objects.filter(user=user).exists()
    assert call("DELETE", path)[0] == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "x", "password": "short"}, "password"),
        ({"username": "x", "roles": ["king"]}, "roles"),
        ({"username": "a b"}, "username"),
        ({}, "username"),
    ],
)
def test_what_is_wrong_is_named(call: Call, body: dict[str, Any], field: str) -> None:
    status, answer = call("POST", "", body)
    assert status == 400 and field in str(answer["error"]), answer
    assert not User.objects.filter(username="x").exists()


def test_nobody_makes_a_superuser_here(call: Call, admin: User) -> None:
    body = {"username": "eve", "is_superuser": True, "user_permissions": [1], "groups": [1]}
    status, made = call("POST", "", body)
    assert status == 201 and not made["is_superuser"] and made["roles"] == []
    root = UserFactory.create(is_superuser=True)
    for method, change in (("PATCH", {"password": PASSWORD}), ("DELETE", {})):
        assert call(method, f"{root.pk}/", change)[0] == 403
    assert call("PATCH", f"{admin.pk}/", {"is_superuser": True})[1]["is_superuser"] is False


def test_the_last_admin_stays(call: Call, admin: User) -> None:
    for method, change in (
        ("PATCH", {"roles": ["viewer"]}),
        ("PATCH", {"is_active": False}),
        ("PATCH", {"tag_limit": ["berlin"]}),
    ):
        status, answer = call(method, f"{admin.pk}/", change)
        assert status == 409 and "last user" in answer["error"]["message"], change
    assert User.objects.get(pk=admin.pk).has_perm("auth.change_user")


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("user/{user}/change/", {"is_active": ""}),
        ("user/{user}/change/", {"groups": []}),
        ("user/{user}/change/", {"tag_limit-TOTAL_FORMS": 1, "tag_limit-0-tags": "{tag}"}),
        ("group/{group}/change/", {"name": "others"}),
        ("group/{group}/delete/", {"post": "yes"}),
        ("group/", {"action": "delete_selected", "_selected_action": "{group}", "post": "yes"}),
    ],
)
def test_the_last_admin_stays_at_every_page(admin: User, path: str, form: dict[str, Any]) -> None:
    (group,) = admin.groups.all()
    (tag,) = tags_ensure(names=["berlin"])
    ids = {"user": admin.pk, "group": group.pk, "tag": tag.pk}
    stored = {
        "username": admin.username,
        "is_active": "on",
        "is_staff": "on",
        "groups": [group.pk],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        "tag_limit-TOTAL_FORMS": 0,
        "tag_limit-INITIAL_FORMS": 0,
        "tag_limit-0-user": admin.pk,
    }
    pages = Client()
    pages.force_login(admin)
    sent = stored if path.startswith("user/{user}/change") else {}
    given = {k: v.format(**ids) if isinstance(v, str) else v for k, v in (sent | form).items()}
    with CaptureQueriesContext(connection) as captured:
        shown = pages.post(f"/admin/auth/{path.format(**ids)}", given, follow=True)
    assert "Nothing was changed: this is the last user" in shown.content.decode()
    assert any("pg_advisory_xact_lock" in query["sql"] for query in captured)
    kept = User.objects.get(pk=admin.pk)
    assert kept.is_active and kept.has_perm("auth.change_user")
    assert not TagLimit.objects.exists()
    pages.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    pages.post(f"/admin/auth/{path.format(**ids)}", given, follow=True)
    full = User.objects.filter(pk=admin.pk, is_active=True, tag_limit=None)
    assert not full.filter(groups__name=Role.ADMIN.value).exists(), "with another one it goes"


def test_everybody_sees_themselves_and_the_admin_all(call: Call) -> None:
    viewer = user_in(Role.VIEWER)
    limit = TagLimit.objects.create(user=viewer)
    limit.tags.set(tags_ensure(names=["berlin"]))
    status, me = caller(viewer)("GET", "me/")
    assert status == 200 and me["username"] == viewer.username
    assert (me["roles"], me["tag_limit"]) == (["viewer"], ["berlin"])
    assert caller(viewer)("GET", "")[0] == 403
    assert call("GET", "")[1]["count"] == 2


def test_a_limited_admin_manages_no_users(call: Call) -> None:
    limited = user_in(Role.ADMIN)
    TagLimit.objects.create(user=limited)
    ask = caller(limited)
    assert ask("GET", "")[0] == 403
    assert ask("PATCH", f"{limited.pk}/", {"tag_limit": None})[0] == 403


def test_no_page_makes_a_superuser_or_changes_one(admin: User) -> None:
    pages = Client()
    pages.force_login(admin)
    root, viewer = UserFactory.create(is_superuser=True), user_in(Role.VIEWER)
    for page in ("change", "delete", "password"):
        assert pages.post(f"/admin/auth/user/{root.pk}/{page}/").status_code == 403, page
    shown = pages.get(f"/admin/auth/user/{viewer.pk}/change/")
    assert shown.status_code == 200 and b'name="is_superuser"' not in shown.content


# --- Names in upper and lower case --------------------------------------------------------------


def test_a_name_in_another_case_is_no_other_name(call: Call) -> None:
    UserFactory.create(username="anna")
    other = UserFactory.create(username="eve")
    for method, path in (("POST", ""), ("PATCH", f"{other.pk}/")):
        status, answer = call(method, path, {"username": "ANNA"})
        assert status == 409
        assert "'ANNA': There is already a user with this username" in answer["error"]["message"]
    assert call("PATCH", f"{other.pk}/", {"username": "Eve"})[1]["username"] == "Eve"


def test_no_other_door_lets_a_twin_in(admin: User) -> None:
    UserFactory.create(username="anna")
    other = UserFactory.create(username="eve")
    with pytest.raises(CommandError, match="already a user 'anna'"):
        call_command("createsuperuser", "--noinput", "--username", "Anna", "--email", "a@b.example")
    page = Client()
    page.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    form = {"username": "Anna", "password1": PASSWORD, "password2": PASSWORD}
    shown = page.post("/admin/auth/user/add/", form)
    assert shown.status_code == 200 and "already exists" in shown.content.decode()
    changed = {"username": "Anna", "tag_limit-TOTAL_FORMS": 0, "tag_limit-INITIAL_FORMS": 0}
    shown = page.post(f"/admin/auth/user/{other.pk}/change/", changed)
    assert shown.status_code == 200 and "already a user" in shown.content.decode()
    assert User.objects.filter(username__iexact="anna").count() == 1


def test_the_database_has_the_last_word() -> None:
    UserFactory.create(username="anna")
    with pytest.raises(IntegrityError, match="netraven_username_unique"):
        User.objects.bulk_create([User(username="ANNA")])


def test_twins_of_before_are_named_when_migrating() -> None:
    migration = import_module("netraven_site.migrations.0002_user_names_without_regard_to_case")
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX netraven_username_unique")
    User.objects.bulk_create([User(username=name) for name in ("anna", "ANNA", "eve")])
    with pytest.raises(ValueError, match=r"rename or delete users .*: anna, ANNA"):
        migration.refuse_twins(apps, None)
    User.objects.get(username="ANNA").delete()
    migration.refuse_twins(apps, None)


def test_nobody_deletes_themselves(call: Call, admin: User, client: Client) -> None:
    user_in(Role.ADMIN)
    status, answer = call("DELETE", f"{admin.pk}/")
    assert status == 409 and "another admin" in answer["error"]["message"]
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True, username="root"))
    root = User.objects.get(username="root")
    assert client.post(f"/admin/auth/user/{root.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}
    client.post("/admin/auth/user/", chosen)
    assert User.objects.filter(pk__in=[admin.pk, root.pk]).count() == 2
