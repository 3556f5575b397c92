"""A seal for each entry of the audit log, made by the database itself."""

from __future__ import annotations

from django.db import migrations, models

_TRIGGER = """
INSERT INTO netraven_site_auditseal (entry_id) SELECT id FROM auditlog_logentry;

CREATE FUNCTION netraven_audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO netraven_site_auditseal (entry_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER netraven_audit_seal AFTER INSERT ON auditlog_logentry
    FOR EACH ROW EXECUTE FUNCTION netraven_audit_seal();
"""
_NO_TRIGGER = """
DROP TRIGGER netraven_audit_seal ON auditlog_logentry;
DROP FUNCTION netraven_audit_seal();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("netraven_site", "0002_user_names_without_regard_to_case"),
        ("auditlog", "0017_add_actor_email"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("entry_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("sequence", models.BigIntegerField(null=True, unique=True)),
                ("digest", models.BinaryField(null=True)),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("sequence", None)),
                        fields=["entry_id"],
                        name="auditseal_waiting",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("digest", None), ("sequence", None)),
                            models.Q(("digest__isnull", False), ("sequence__gte", 1)),
                            _connector="OR",
                        ),
                        name="auditseal_whole_or_waiting",
                    )
                ],
            },
        ),
        migrations.RunSQL(_TRIGGER, _NO_TRIGGER),
    ]
