"""A day with NetRaven, from the empty installation to the replaced device, in a browser."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from netraven_site.demo.simulator import SimulatorProcess
from tests.acceptance.lab import canary
from tests.support.browser import Visitor, visitor
from tests.support.devices import device_spec, fleet_in_process
from tests.support.up import Up

pytestmark = pytest.mark.slow

PASSWORD, ACCESS_PASSWORD = canary("Core"), canary("Access")
VIEWER, VIEWER_PASSWORD = "vera", canary("Viewer")
OPERATOR, OPERATOR_PASSWORD = "otto", canary("Operator")
RUN_MILLISECONDS = 60_000
DEVICES = {"core-sw1": "cisco_ios", "core-r1": "juniper_junos", "access-sw1": "arista_eos"}


@pytest.fixture(scope="module")
def fleet() -> Iterator[SimulatorProcess]:
    """Three devices, one of which has a password of its own."""
    specs = [
        device_spec(
            platform,
            name,
            username="netops",
            password=ACCESS_PASSWORD if name.startswith("access") else PASSWORD,
        )
        for name, platform in DEVICES.items()
    ]
    with fleet_in_process(*specs) as fleet:
        yield fleet


def picture(page: Page, name: str) -> None:
    """Keep a picture of what is to be seen, light and dark, if STORY_PICTURES names a folder."""
    folder = os.environ.get("STORY_PICTURES")
    if folder is None:
        return
    for scheme in ("light", "dark"):
        page.evaluate(
            "(dark) => document.documentElement.classList.toggle('dark', dark)", scheme == "dark"
        )
        page.screenshot(path=Path(folder) / f"{name}-{scheme}.png")
    page.evaluate("document.documentElement.classList.remove('dark')")


def test_from_an_empty_installation_to_a_replaced_device(
    browser: Browser, site: str, up: Up, fleet: SimulatorProcess, tmp_path: Path
) -> None:
    with visitor(browser, site) as admin:
        admin.log_in(*up.login())
        import_devices(admin, fleet, tmp_path / "devices.csv")
        add_credential(admin, "core", PASSWORD)
        add_credential(admin, "access", "not the password")
        add_job(admin)
        failed = run_and_watch(admin)
        fix_password(admin)
        retry(admin, failed)
        fleet.change("core-sw1")
        read_the_change(admin)
        search_for_it(admin)
        acknowledge(admin)
        restore(admin)
        make_user(admin, VIEWER, VIEWER_PASSWORD, "viewer")
        make_user(admin, OPERATOR, OPERATOR_PASSWORD, "operator")
        look_around(admin)
        assert admin.complaints == []
    fleet.change("core-sw1")
    with visitor(browser, site) as operator:
        operate(operator)
    with visitor(browser, site) as viewer:
        be_refused(viewer)


def import_devices(admin: Visitor, fleet: SimulatorProcess, file: Path) -> None:
    lines = ["hostname,ip_address,port,platform,tags"]
    for name, platform in DEVICES.items():
        address, port = fleet.address(name)
        lines.append(f"{name},{address},{port},{platform},site-a;{name.partition('-')[0]}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    page = admin.page
    admin.visit("/devices/")
    page.get_by_role("link", name="Import devices").click()
    page.locator("input[name=file]").set_input_files(file)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("3 devices created")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(3)


def add_credential(admin: Visitor, tag: str, password: str) -> None:
    page = admin.page
    admin.visit("/admin/credentials/credential/add/")
    page.get_by_label("Name", exact=False).first.fill(tag)
    page.get_by_label("Username").fill("netops")
    page.locator(".field-tags .select2-selection").click()
    page.locator(".field-tags .select2-search__field").fill(tag)
    page.locator(".select2-results__option", has_text=tag).first.click()
    page.get_by_label("Password", exact=False).first.fill(password)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert password not in page.content()


def add_job(admin: Visitor) -> None:
    page = admin.page
    admin.visit("/jobs/add/")
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("Tags").select_option("site-a")
    page.get_by_label("Schedule type").select_option("cron")
    page.get_by_label("Cron").fill("30 2 * * *")
    page.get_by_label("Cron").blur()
    preview = page.locator("#nr-preview")
    expect(preview).to_contain_text("3 devices")
    expect(preview.locator("time")).to_have_count(5)
    picture(page, "job")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Run now")).to_be_visible()


def run_and_watch(admin: Visitor) -> str:
    """Run the job and look on until it has ended; the address of the run."""
    page = admin.page
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url(re.compile(r"/runs/\d+/$"))
    address = page.url.removeprefix(admin.site)
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("partial failure", timeout=RUN_MILLISECONDS)
    row = page.get_by_role("row", name=re.compile("access-sw1"))
    expect(row).to_contain_text("Failed")
    page.get_by_role("link", name="access-sw1").click()
    expect(page.locator("#nr-panel")).to_contain_text("access-sw1")
    picture(page, "run")
    return address


def fix_password(admin: Visitor) -> None:
    page = admin.page
    admin.visit("/admin/credentials/credential/")
    page.get_by_role("link", name="access").first.click()
    page.get_by_label("Password", exact=False).first.fill(ACCESS_PASSWORD)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()


def retry(admin: Visitor, failed: str) -> None:
    page = admin.page
    admin.visit(failed)
    page.get_by_role("button", name="Retry 1 failed").click()
    page.wait_for_url(lambda address: not address.endswith(failed))
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("Completed success", timeout=RUN_MILLISECONDS)


def read_the_change(admin: Visitor) -> None:
    page = admin.page
    admin.visit("/jobs/")
    page.get_by_role("button", name="Run nightly now").click()
    page.wait_for_url(re.compile(r"/runs/\d+/$"))
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("Completed success", timeout=RUN_MILLISECONDS)
    row = page.get_by_role("row", name=re.compile("core-sw1"))
    row.get_by_role("link", name="changed").click()
    page.wait_for_url(re.compile("/diff/"))
    expect(page.locator("table.nr-diff-side")).to_be_visible()
    picture(page, "diff")
    page.get_by_label("View").select_option("unified")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("table.nr-diff-unified")).to_be_visible()


def search_for_it(admin: Visitor) -> None:
    """Every device without the line that the change has brought, and where it stands."""
    page = admin.page
    added = page.locator("table.nr-diff-unified td.nr-new").first.inner_text().strip("+ \n")
    admin.visit("/search/")
    page.get_by_label("Regular expression").fill(re.escape(added))
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("heading", name="core-sw1")).to_be_visible()
    picture(page, "search")
    page.locator(".nr-hit a").first.click()
    page.wait_for_url(re.compile(r"/config/.*#L\d+$"))
    expect(page.locator(".nr-l:target")).to_contain_text(added)
    picture(page, "configuration")


def acknowledge(admin: Visitor) -> None:
    page = admin.page
    admin.visit("/changes/")
    picture(page, "changes")
    page.get_by_label("Note").fill("planned work")
    page.get_by_label("Ticket").fill("CHG-1")
    page.get_by_label("Acknowledge this change on all its devices").first.check()
    page.get_by_role("button", name="Acknowledge the ticked").click()
    expect(page.get_by_text("planned work").first).to_be_visible()


def restore(admin: Visitor) -> None:
    page = admin.page
    admin.visit("/devices/")
    page.get_by_role("link", name="core-sw1").click()
    picture(page, "device")
    page.get_by_role("link", name="Configuration").first.click()
    page.get_by_role("link", name="Restore pack").click()
    page.get_by_label("Reason").fill("the device is dead")
    with page.expect_download() as download:
        page.get_by_role("button", name="Restore pack").click()
    with zipfile.ZipFile(download.value.path()) as pack:
        assert any(name.startswith("raw/") for name in pack.namelist())


def make_user(admin: Visitor, username: str, password: str, role: str) -> None:
    """Over the API, with the session of the browser."""
    page = admin.page
    cookies = {str(one.get("name")): str(one.get("value")) for one in page.context.cookies()}
    answer = page.request.post(
        f"{admin.site}/api/v1/users/",
        data={"username": username, "password": password, "roles": [role], "is_staff": True},
        headers={"X-CSRFToken": cookies["csrftoken"], "Referer": admin.site},
    )
    assert answer.status == 201, answer.text()


def look_around(admin: Visitor) -> None:
    page = admin.page
    admin.visit("/")
    page.wait_for_load_state("networkidle")
    picture(page, "dashboard")
    admin.visit("/devices/")
    picture(page, "devices")


def operate(operator: Visitor) -> None:
    """An operator backs up and takes note of changes; secrets and raw bytes are nobody's there."""
    page = operator.page
    operator.log_in(OPERATOR, OPERATOR_PASSWORD)
    operator.visit("/admin/inventory/device/")
    page.get_by_role("row", name=re.compile("core-sw1")).get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option("back_up_now")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("link", name=re.compile(r"Run \d+")).first.click()
    page.wait_for_url(re.compile(r"/runs/\d+/$"))
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("Completed success", timeout=RUN_MILLISECONDS)
    operator.visit("/changes/?acknowledged=no")
    page.get_by_label("Ticket").fill("CHG-2")
    page.get_by_label("Acknowledge this change on all its devices").first.check()
    page.get_by_role("button", name="Acknowledge the ticked").click()
    expect(page.get_by_text("Acknowledged on 1 device")).to_be_visible()
    operator.visit("/credentials/")
    expect(page.get_by_text("netops").first).to_be_visible()
    assert all(secret not in page.content() for secret in (PASSWORD, ACCESS_PASSWORD))
    operator.visit("/admin/credentials/credential/")
    page.get_by_role("link", name="access").first.click()
    expect(page.get_by_label("Password", exact=False)).to_have_count(0)
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    operator.visit("/devices/")
    page.get_by_role("link", name="core-sw1").click()
    page.get_by_role("link", name="Configuration").first.click()
    expect(page.get_by_role("link", name="Restore pack")).to_have_count(0)
    expect(page.get_by_role("link", name="Raw", exact=False)).to_have_count(0)
    assert operator.complaints == []
    refused(
        operator,
        "/admin/credentials/credential/add/",
        "/admin/credentials/credential/import/",
        "/admin/backups/archive/1/raw/",
        "/admin/backups/archive/1/restore-pack/",
        "/admin/auth/user/",
    )


def be_refused(viewer: Visitor) -> None:
    """A viewer reads what is redacted, and nothing else."""
    page = viewer.page
    viewer.log_in(VIEWER, VIEWER_PASSWORD)
    viewer.visit("/devices/")
    expect(page.get_by_role("button", name="Back up now")).to_have_count(0)
    page.get_by_role("link", name="core-sw1").click()
    page.get_by_role("link", name="Configuration").first.click()
    expect(page.get_by_role("link", name="Restore pack")).to_have_count(0)
    assert viewer.complaints == []
    refused(viewer, "/jobs/add/", "/credentials/", "/admin/credentials/credential/")


def refused(visitor: Visitor, *paths: str) -> None:
    for path in paths:
        answer = visitor.page.goto(visitor.site + path)
        assert answer is not None and answer.status == 403, path
