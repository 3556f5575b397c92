"""Makes a site of the documents: navigation, links, drawings, and pages read off the code.

``mkdocs build --strict`` calls the functions ``on_…``. Documents are written for a checkout: they
link to files beside ``docs`` as well. Those of the project's first folder become pages; a link to
any other file becomes its path.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import posixpath
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmdr
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).resolve().parent.parent
_DOCS = "docs"
#: Files beside ``docs`` that become pages, and where they are in the site.
_BESIDE = {
    "README.md": "project/overview.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
_COMMANDS, _API = "reference/commands.md", "reference/api.md"
_LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
#: A link, whose text may be code; or code, in which nothing is a link.
_PIECE = re.compile(rf"```.*?```|{_LINK.pattern}|`[^`\n]*`", re.DOTALL)
#: A drawing in the language of Mermaid, and the words before it that say what it shows.
_DRAWING = re.compile(
    r"(?:^(?P<title>[^\n]+):\n\n)?^```mermaid\n(?P<source>.*?)^```", re.DOTALL | re.MULTILINE
)
_SIZE = re.compile(r'width="100%"(?P<between>.*?viewBox="\S+ \S+ (?P<width>\S+) (?P<height>\S+)")')
_ENTRY = re.compile(r"- \[(?P<title>[^\]]+)\]\((?P<target>[^)#]+)\)")
#: What Django gives every command.
_COMMON = frozenset(
    {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color"}
    | {"force_color", "skip_checks"}
)
_APPS = ("netraven_site", "jobs", "backups", "inventory", "credentials", "common")


def github_slug(text: str, separator: str) -> str:
    """The anchor of a heading as GitHub makes it, which the documents link to."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", separator)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the navigation from the list in ``docs/README.md``."""
    text = (PROJECT / _DOCS / "README.md").read_text(encoding="utf-8")
    nav: list[Any] = [{"Home": "README.md"}]
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        pages = [
            {found["title"]: _in_site(posixpath.normpath(f"{_DOCS}/{found['target']}"))}
            for found in _ENTRY.finditer(body)
        ]
        if title == "Look up":
            pages += [{"Commands": _COMMANDS}, {"API, address by address": _API}]
        nav.append({title: pages})
    config.nav = nav
    config.mdx_configs["toc"]["slugify"] = github_slug
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of ``docs``."""
    for name, place in _BESIDE.items():
        text = (PROJECT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    _set_up_django()
    files.append(File.generated(config, _COMMANDS, content="\n".join(_commands())))
    files.append(File.generated(config, _API, content="\n".join(_api())))
    for page in list(files.documentation_pages()):
        for found in _DRAWING.finditer(page.content_string):
            place, drawing = _place(found["source"]), _drawn(found["source"])
            files.append(File.generated(config, place, content=drawing))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where their targets are in the site."""
    here = page.file.src_uri
    beside = {place: name for name, place in _BESIDE.items()}
    origin = beside.get(here, f"{_DOCS}/{here}")
    if here in (_COMMANDS, _API):
        return markdown
    return _with_drawings(_relinked(markdown, origin, here), here)


def _with_drawings(markdown: str, here: str) -> str:
    """Pictures instead of their texts: a browser would ask another host for what draws them."""

    def picture(found: re.Match[str]) -> str:
        way = posixpath.relpath(_place(found["source"]), posixpath.dirname(here) or ".")
        title = found["title"]
        # A large one is looked at by itself.
        drawing = f"[![{title or 'Drawing'}]({way})]({way})"
        return f"{title}:\n\n{drawing}" if title else drawing

    return _DRAWING.sub(picture, markdown)


def _place(source: str) -> str:
    return f"images/drawings/{hashlib.sha256(source.encode()).hexdigest()[:16]}.svg"


def _drawn(source: str) -> str:
    """The drawing as SVG of its own size, on white also where the page is dark."""
    svg = _SIZE.sub(
        r'width="\g<width>" height="\g<height>"\g<between>', mmdr.render(source).svg(), 1
    )
    return svg.replace('style="', 'style="background:#fff;', 1)


def _relinked(markdown: str, origin: str, here: str) -> str:
    def link(found: re.Match[str]) -> str:
        target, anchor = found["target"] or "", found["anchor"] or ""
        if not target or ":" in target:
            return found[0]
        place = _in_site(posixpath.normpath(posixpath.join(posixpath.dirname(origin), target)))
        if place is None:
            name = f"`{target.removeprefix('../')}`"
            return found["text"] if found["text"] == name else f"{found['text']} ({name})"
        way = posixpath.relpath(place, posixpath.dirname(here) or ".")
        return f"{found['mark']}[{found['text']}]({way}{anchor})"

    return _PIECE.sub(link, markdown)


def _in_site(path: str) -> str | None:
    """Where a file of the project is in the site; None where it is not."""
    if path in _BESIDE:
        return _BESIDE[path]
    inside = path.removeprefix(f"{_DOCS}/")
    return inside if inside != path else None


# --- Reference ----------------------------------------------------------------------------------


def _set_up_django() -> None:
    """Load the product's code; a data directory of its own keeps it from making keys in ``var``."""
    sys.path.insert(0, str(PROJECT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")
    os.environ.setdefault("NETRAVEN_DATA_DIR", tempfile.mkdtemp(prefix="netraven-site-"))
    import django

    django.setup()


def _commands() -> Iterator[str]:
    """Every command of ``manage.py`` that is NetRaven's own, with its options."""
    from django.core.management import get_commands, load_command_class

    yield "# Commands\n\nRead off the code. `python manage.py COMMAND --help` says the same.\n"
    for name, app in sorted(get_commands().items()):
        if app not in _APPS:
            continue
        command = load_command_class(str(app), name)
        yield from _command(command.create_parser("manage.py", name), name, level=2)


def _command(parser: argparse.ArgumentParser, name: str, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} {name}\n\n{_plain(parser.description or '')}\n"
    shown = [
        action
        for action in parser._actions
        if action.dest not in _COMMON and not isinstance(action, argparse._SubParsersAction)
    ]
    if shown:
        yield "| argument | meaning |\n|---|---|"
        for action in shown:
            yield f"| `{_argument(action)}` | {_plain(_help(parser, action))} |"
        yield ""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice, inner in action.choices.items():
                yield from _command(inner, f"{name} {choice}", level=level + 1)


def _argument(action: argparse.Action) -> str:
    value = action.metavar or (
        "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    )
    if not action.option_strings:
        return str(action.metavar or action.dest.upper())
    takes = f" {value}" if action.nargs != 0 else ""
    return ", ".join(action.option_strings).replace("|", "\\|") + takes.replace("|", "\\|")


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


def _api() -> Iterator[str]:
    """Every address of the API, from its schema."""
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)
    yield "# The API, address by address\n\nRead off the code. [The API](../api.md) says how to "
    yield "use it; `/api/v1/schema/` has every field, `/api/v1/docs/` shows it in a browser.\n"
    yield "| address | method | what it does | parameters |\n|---|---|---|---|"
    for path, methods in sorted(schema["paths"].items()):
        for method, operation in methods.items():
            names = [f"`{each['name']}`" for each in operation.get("parameters", ())]
            what = operation.get("summary") or operation.get("description", "")
            yield (
                f"| `{path.removeprefix('/api/v1/')}` | {method.upper()} "
                f"| {_plain(what.partition(chr(10) * 2)[0])} | {', '.join(names)} |"
            )


def _plain(text: str) -> str:
    """``text`` on one line that a table and HTML take as it is."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
