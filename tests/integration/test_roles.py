"""Roles: who may do what, at every address of the API, on every page and in the admin."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from netraven_site.accounts.roles import Role, roles_sync
from tests.factories import UserFactory, user_in
from tests.support.role_matrix import admin_questions, api_questions, page_questions, table

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

DOCUMENT = Path(__file__).parents[2] / "docs" / "roles.md"
APPS = ("credentials", "inventory", "backups", "jobs")


def people() -> dict[str, User | None]:
    """Somebody of each kind; those who are logged in may all open the admin."""
    return {
        "anonymous": None,
        "no role": UserFactory.create(is_staff=True),
        "viewer": user_in(Role.VIEWER),
        "operator": user_in(Role.OPERATOR),
        "admin": user_in(Role.ADMIN),
        "raw-reader": user_in(Role.RAW_READER),
    }


@pytest.mark.slow
def test_the_document_says_what_the_site_does(tmp_path: Path) -> None:
    everybody = people()
    text = DOCUMENT.read_text(encoding="utf-8")
    right = text
    tables = {"api": api_questions(), "pages": page_questions(), "admin": admin_questions()}
    for name, questions in tables.items():
        begin, end = f"<!-- {name} begins -->\n", f"<!-- {name} ends -->"
        before, _, rest = right.partition(begin)
        right = before + begin + table(questions, everybody) + end + rest.partition(end)[2]
    proposal = tmp_path / "roles.md"
    proposal.write_text(right, encoding="utf-8")
    for line in right.splitlines():
        cells = line.strip("| ").split(" | ")
        if line.startswith("| `"):
            assert set(cells[2:]) <= {"yes", "no"}, line
    assert text == right, f"the tables are not those of the site; look at {proposal}, then copy it"


def test_anonymous_callers_get_nothing_but_tokens() -> None:
    rows = table(api_questions(), {"anonymous": None}).splitlines()[2:]
    open_to_all = [row.split("`")[1] for row in rows if row.endswith("| yes |")]
    assert open_to_all == ["token/", "token/refresh/"]


def test_strangers_open_no_page() -> None:
    questions = page_questions()
    assert {"/", "/devices/", "/runs/{id}/", "/devices/{id}/config/"} <= {
        question.address for question in questions
    }
    rows = table(questions, {"anonymous": None}).splitlines()[2:]
    assert [row for row in rows if not row.endswith("| no |")] == []


def test_roles_are_there_after_migrating_and_keep_their_rights() -> None:
    assert {role.value for role in Role} <= set(Group.objects.values_list("name", flat=True))
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.add(Permission.objects.get(codename="change_device"))
    Group.objects.get(name="operator").delete()
    own = Group.objects.create(name="night shift")
    own.permissions.add(Permission.objects.get(codename="run_job"))
    call_command("migrate", verbosity=0)
    roles_sync()
    assert not viewer.permissions.filter(codename="change_device").exists()
    assert user_in(Role.OPERATOR).has_perm("jobs.run_job")
    assert own.permissions.count() == 1


def permissions_of(role: Role) -> frozenset[str]:
    """What a user of the role may do, each as ``app_label.codename``."""
    return frozenset(user_in(role).get_all_permissions())


def test_the_admin_has_every_right_but_raw_reading() -> None:
    names = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.filter(
            content_type__app_label__in=APPS
        ).values_list("content_type__app_label", "codename")
    }
    assert names - permissions_of(Role.ADMIN) == {"backups.read_raw_archive"}
    assert permissions_of(Role.RAW_READER) == {"backups.read_raw_archive"}


def test_each_role_has_what_the_lower_one_has() -> None:
    viewer, operator, admin = (
        permissions_of(role) for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
    )
    assert viewer < operator < admin
    assert all(".view_" in name for name in viewer)
    assert not any("credential" in name for name in viewer if not name.startswith("credentials."))
    assert "credentials.view_credential" not in viewer
    assert not any(name.startswith("auth.") for name in operator)
    assert "credentials.change_credential" not in operator
