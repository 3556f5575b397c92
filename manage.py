#!/usr/bin/env python
"""NetRaven's command line: ``python manage.py help`` lists the commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")
    _prepare(sys.argv[1:2])
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _prepare(command: list[str]) -> None:
    """What the two commands that bring their own servers need before the settings are loaded."""
    if command not in (["up"], ["demo"]):
        return
    from netraven_site.config import ConfigurationError
    from netraven_site.config_loading import prepare_embedded_keys
    from netraven_site.demo.environment import DemoUnavailable, prepare

    try:
        if command == ["demo"]:
            prepare()
        prepare_embedded_keys()
    except (ConfigurationError, DemoUnavailable) as error:
        raise SystemExit(f"netraven: {error}") from None


if __name__ == "__main__":
    main()
