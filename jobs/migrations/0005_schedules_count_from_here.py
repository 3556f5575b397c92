from django.db import migrations
from django.db.models.functions import Now


def begin(apps, schema_editor):
    """Schedules that are there owe nothing for the time before their planned times were kept."""
    jobs = apps.get_model("jobs", "Job").objects.filter(is_enabled=True, scheduled_since=None)
    jobs.exclude(schedule_type="none").update(scheduled_since=Now())


class Migration(migrations.Migration):

    dependencies = [("jobs", "0004_scheduled_jobs_are_found_by_index")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop, elidable=True)]
