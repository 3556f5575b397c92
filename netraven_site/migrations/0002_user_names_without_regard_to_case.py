"""User names that differ in upper and lower case only are one name."""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.models import Count
from django.db.models.functions import Upper


def refuse_twins(apps: Any, schema_editor: Any) -> None:
    """Say which users have to be renamed first; the index would only say that it cannot be made."""
    users = apps.get_model("auth", "User").objects
    names = users.values(key=Upper("username")).annotate(n=Count("pk")).filter(n__gt=1)
    twins = users.alias(key=Upper("username")).filter(key__in=names.values("key"))
    found = list(twins.order_by("key", "pk").values_list("username", flat=True))
    if found:
        raise ValueError(
            "these user names differ in upper and lower case only; rename or delete users until "
            f"they do not, then migrate again: {', '.join(found)}"
        )


class Migration(migrations.Migration):
    dependencies = [
        ("netraven_site", "0001_api_tokens"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.RunPython(refuse_twins, migrations.RunPython.noop),
        migrations.RunSQL(
            # As Django's iexact compares.
            "CREATE UNIQUE INDEX netraven_username_unique ON auth_user (UPPER(username))",
            "DROP INDEX netraven_username_unique",
        ),
    ]
