"""Homes to look at, and a real browser to look with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from collector.auth import COOKIE
from collector.credentials import new_token
from collector.store import enrolment
from collector.store.database import Database, open_database
from tests.collector import support
from tests.collector.conftest import home as home
from tests.require import require_library, require_program
from tests.web.apart import apart

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
PATIENCE = 30_000
"""Milliseconds: the machine may be busy, and a password alone takes a while to hash."""
WATCH = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
});
window.shifted = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifted += entry.value; })
  .observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture
def db_place(tmp_path: Path) -> Path:
    """SQLite's file: what these tests look at does not depend on the database."""
    return support.new_file(tmp_path)


@dataclass
class Site:
    """A real home in a process of its own, with its first administrator."""

    real: support.RealHome
    database: Database
    client: httpx.Client
    name: str
    password: str

    def host(self, name: str) -> support.Host:
        """A host that is enrolled there."""
        token, token_hash = new_token("hwe")
        with self.database.write() as connection:
            enrolment.add_token(connection, token_hash, now=time.time(), expires=time.time() + 60)
        made = support.Host(self.client, time.time)
        answer = made.enroll(token, name)
        assert answer.status_code == 200, answer.text
        return made

    def log_in(self) -> str:
        """The token of a new session."""
        answer = self.client.post(
            "/login", data={"name": self.name, "password": self.password}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert answer.status_code == 303, answer.text
        token = answer.cookies[COOKIE]
        self.client.cookies.clear()
        return token


@dataclass
class Visit:
    """A page in the browser, and what it complained about."""

    page: Page
    site: Site
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go there."""
        self.page.goto(self.site.real.url + path)

    def sticking_out(self) -> list[str]:
        """The elements that make the page wider than the window, once it is drawn at that width; none is right."""
        found: list[str] = self.page.evaluate(
            """async () => {
                for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
                if (document.documentElement.scrollWidth <= innerWidth) return [];
                return [...document.querySelectorAll("body *")]
                    .filter((element) => element.getBoundingClientRect().right > innerWidth)
                    .map((element) => `${element.tagName}.${element.getAttribute("class")}`);
            }"""
        )
        return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One home for all tests of a worker: each test has hosts of its own there."""
    folder = tmp_path_factory.mktemp("site") / "home"
    done = support.run("init", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    _, name, password = next(line for line in done.stdout.splitlines() if line.startswith("login:")).split()
    with support.serving(folder) as real, real.client() as client:
        database = open_database(folder / "collector.db")
        yield Site(real, database, client, name, password)
        database.close()


@pytest.fixture(scope="module")
def browser(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, as the system has it: nothing is downloaded.

    Of one module: while it is there its driver's loop counts as running, and no other test could start a loop.
    """
    program = require_program("chromium")
    require_library("libatomic.so.1")  # the driver of the browser is linked to it
    expect.set_options(timeout=PATIENCE)
    port = httpx.URL(site.real.url).port
    assert port is not None
    with apart(program, port, tmp_path_factory.mktemp("browser")) as start, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(start), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Callable[..., Visit]]:
    """Open a window, logged in unless said otherwise. At the end, nothing may have been complained about."""
    made: list[Visit] = []
    with ExitStack() as stack:

        def open_window(width: int = 1440, *, logged_in: bool = True) -> Visit:
            context = browser.new_context(
                viewport={"width": width, "height": 900 if width > 800 else 844},
                has_touch=width < 800,
                ignore_https_errors=True,
                timezone_id="Europe/Berlin",
                locale="en-GB",
            )
            stack.callback(context.close)
            context.add_init_script(WATCH)
            if logged_in:
                context.add_cookies([{"name": COOKIE, "value": site.log_in(), "url": site.real.url, "secure": True}])
            one = Visit(context.new_page(), site)

            def note(message: ConsoleMessage) -> None:
                if message.type in ("error", "warning"):
                    one.complaints.append(message.text)

            one.page.on("console", note)
            one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
            made.append(one)
            return one

        yield open_window
        for one in made:
            assert one.complaints == []
