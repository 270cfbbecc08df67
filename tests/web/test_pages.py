"""What the pages answer: who gets in, what is shown, and that nothing from outside is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from msgspec.structs import replace

from collector.api.shapes import StateChange
from collector.auth import COOKIE
from collector.credentials import hash_password
from collector.rules.highlights import Figure, Vitals
from collector.rules.intake import HostRecord
from collector.store import accounts, hosts
from collector.web.listing import PAGE_SIZE
from tests.collector import support
from tests.collector.support import NOW, Home
from wire.report import CheckState, Event, Gap, JobResult, Reading

PASSWORD = "correct horse"
HASH = hash_password(PASSWORD)
HOSTILE = "</title></script><script>alert(1)</script><img src=x><b>\"' hostile=1 ' \" hostile=1 {{ 7 * 7 }}"


class Markup(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._parts: list[str] = []
        self.feed(text)
        self.close()
        self.text = "".join(self._parts)
        self.words = " ".join(" ".join(self._parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._parts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def cookie(home: Home) -> dict[str, str]:
    """The header of somebody who is logged in."""
    return {"Cookie": f"{COOKIE}={session(log_in(home))}"}


def log_in(home: Home, name: str = "anna", password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Send the login form; anna is a user."""
    with home.database.write() as connection:
        if accounts.find_account(connection, "anna") is None:
            accounts.add_account(connection, "anna", HASH, "viewer", home.clock())
    form = {"name": name, "password": password, **fields}
    return home.client.post("/login", data=form, headers={"Sec-Fetch-Site": "same-origin"})


def session(response: httpx.Response) -> str:
    """The token in the cookie that was set."""
    return re.match(rf"{COOKIE}=([^;]+);", response.headers["Set-Cookie"])[1]  # type: ignore[index]  # fails loudly


def reporting(home: Home, name: str = "web1", **fields: Any) -> support.Host:
    """A host that has sent one report."""
    host = support.Host(home.client, home.clock)
    assert host.enroll(home.token(), name).status_code == 200
    answer = host.send(host.report(**fields))
    assert answer.status_code == 200, answer.text
    return host


# Getting in


def test_a_login_leads_to_the_page_that_was_asked_for(home: Home) -> None:
    """And its cookie is out of reach of scripts, other sites and plain connections."""
    answer = log_in(home, next="/hosts/abc?range=6h")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/hosts/abc?range=6h")
    attributes = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= attributes


def test_a_login_never_leads_to_another_server(home: Home) -> None:
    """Neither from the form nor from the address."""
    assert log_in(home, next="//evil.test/").headers["Location"] == "/"
    page = home.client.get("/login?next=https://evil.test/")
    assert "evil.test" not in page.text


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD), ("", ""), ("anna", "x" * 9999)]
)
def test_a_refused_login_says_so_in_one_sentence(home: Home, name: str, password: str) -> None:
    """The same one whether the name or the password is wrong; the name stays, the password does not."""
    answer = log_in(home, name, password)
    assert answer.status_code == 401
    assert "The name or the password is wrong." in answer.text
    assert "Set-Cookie" not in answer.headers
    fields = {field["name"]: field.get("value") for field in Markup(answer.text).all("input")}
    assert (fields["name"], fields["password"]) == (name, None)


def test_a_login_form_of_another_site_is_refused_with_a_page(home: Home) -> None:
    """Or another site could log a visitor in as somebody else."""
    answer = home.client.post("/login", data={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"name=" + b"x" * 20_000, 413),
        (b"&".join(b"a=b" for _ in range(50)), 400),
        (b"\xff\xfe=%zz%ff", 401),
        (b"", 401),
    ],
)
def test_a_form_that_nobody_filled_in_is_answered_all_the_same(home: Home, body: bytes, status: int) -> None:
    """Whatever is sent to the login page, without an error of ours."""
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    assert home.client.post("/login", content=body, headers=headers).status_code == status


def test_who_is_logged_in_does_not_see_the_login_page(home: Home, cookie: dict[str, str]) -> None:
    """An old tab goes on to where it wanted."""
    answer = home.client.get("/login?next=/hosts/x", headers=cookie)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/hosts/x")


def test_a_logout_ends_the_session_and_not_only_the_cookie(home: Home, cookie: dict[str, str]) -> None:
    """A copied cookie is worth nothing afterwards."""
    assert home.client.get("/", headers=cookie).status_code == 200
    answer = home.client.post("/logout", headers={**cookie, "Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert home.client.get("/", headers=cookie).status_code == 303


def test_a_logout_is_no_link(home: Home, cookie: dict[str, str]) -> None:
    """Another site's image must not log anybody out."""
    assert home.client.get("/logout", headers=cookie).status_code == 405
    assert home.client.post("/logout", headers={**cookie, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert home.client.get("/", headers=cookie).status_code == 200


@pytest.mark.parametrize("path", ["/", "/?state=critical&q=a b", "/hosts/web1", "/hosts/nothing?range=6h"])
def test_who_is_not_logged_in_is_sent_to_the_login_page_and_learns_nothing(home: Home, path: str) -> None:
    """Not even whether a host exists."""
    reporting(home)
    answer = home.client.get(path)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login")
    assert answer.text == ""


def test_a_fragment_asked_for_after_the_session_ended_moves_the_whole_page_to_the_login(home: Home) -> None:
    """A login form inside a fragment would be a puzzle."""
    headers = {"HX-Request": "true", "HX-Current-URL": "https://home.test/?state=down"}
    answer = home.client.get("/?state=down", headers=headers)
    assert (answer.status_code, answer.text) == (401, "")
    assert answer.headers["HX-Redirect"] == "/login?next=%2F%3Fstate%3Ddown"


def test_figures_asked_for_after_the_session_ended_are_refused_plainly(home: Home) -> None:
    """A script must not follow a redirect to a page."""
    assert home.client.get("/hosts/web1/charts").status_code == 401


def test_a_session_ends_by_itself(home: Home, cookie: dict[str, str]) -> None:
    """After a week without use."""
    home.clock.now += accounts.SESSION_IDLE + 1
    assert home.client.get("/", headers=cookie).status_code == 303


# The fleet


def test_a_fleet_without_hosts_says_how_to_enrol_the_first(home: Home, cookie: dict[str, str]) -> None:
    """With commands for this very home."""
    text = Markup(home.client.get("/", headers=cookie).text).text
    assert "hostward-collector token create --data-dir" in text
    assert "hostward enroll --collector https://home.test --ca ca.pem --token-file -" in text


def test_a_host_is_shown_with_its_state_in_words_its_figures_and_its_message(
    home: Home, cookie: dict[str, str]
) -> None:
    """Colour alone would leave some readers out."""
    reporting(
        home,
        checks=[support.check("cpu", "warning")],
        readings=[
            Reading("cpu", "cpu_used_percent", 78.4, "percent", {}, NOW),
            Reading("cpu", "disk_used_percent", 91.2, "percent", {"mount": "/var"}, NOW),
        ],
    )
    markup = Markup(home.client.get("/", headers=cookie).text)
    [row] = [attributes for attributes in markup.all("tr") if "data-host" in attributes]
    assert row["data-state"] == "warning"
    for words in ("web1", "78 %", "91 %", "/var", "cpu: cpu is warning"):
        assert words in markup.text
    assert any(bar.get("width") == "78.4" for bar in markup.all("rect"))


def test_a_thousand_hosts_come_in_pages_that_small_devices_can_take(home: Home, cookie: dict[str, str]) -> None:
    """With the worst of all on the first one, and every count over all of them."""
    with home.database.write() as connection:
        for number in range(1000):
            record = HostRecord(
                id=f"id{number}",
                name=f"node{number:04}",
                enrolled=NOW,
                agent="0.1.0",
                facts={"os": "Debian"},
                state="critical" if number == 777 else "ok",
                received=NOW,
                interval=15.0,
            )
            hosts.add_host(connection, record, number.to_bytes(32, "big"))
    answer = home.client.get("/", headers=cookie)
    rows = [attributes["data-host"] for attributes in Markup(answer.text).all("tr") if "data-host" in attributes]
    assert (len(rows), rows[0]) == (PAGE_SIZE, "id777")
    assert len(answer.content) < 500_000
    assert "1,000 hosts, page 1 of 10" in answer.text
    last = Markup(home.client.get("/?page=10&state=ok", headers=cookie).text)
    assert len([row for row in last.all("tr") if "data-host" in row]) == 99
    found = Markup(home.client.get("/?q=node0042", headers=cookie).text)
    assert [row["data-host"] for row in found.all("tr") if "data-host" in row] == ["id42"]


def test_htmx_gets_the_fragment_and_the_address_that_belongs_to_it(home: Home, cookie: dict[str, str]) -> None:
    """A filtered page can be reloaded, kept as a bookmark and sent to a colleague."""
    reporting(home)
    answer = home.client.get("/?q=web&state=&page=1", headers={**cookie, "HX-Request": "true"})
    assert answer.headers["HX-Replace-Url"] == "/?q=web"
    markup = Markup(answer.text)
    assert not markup.all("html")
    [fleet] = [attributes for attributes in markup.all("section") if attributes.get("id") == "fleet"]
    assert fleet["hx-get"] == "/?q=web"
    assert "no-store" in answer.headers["Cache-Control"]


# A host


def test_a_host_page_shows_all_that_is_known(home: Home, cookie: dict[str, str]) -> None:
    """Checks, what happened, jobs, facts and gaps."""
    host = reporting(
        home,
        facts={"os": "Debian 12", "cpu_model": "Z80", "rack": "r7"},
        checks=[
            support.check("disk", "critical"),
            CheckState(name="shop", kind="http", state="ok", message="200 in 80 ms", since=NOW, time=NOW),
        ],
        events=[Event(time=NOW, kind="config.refused", message="agent.toml:3: no such key", state="warning")],
        jobs=[
            JobResult(name="vacuum", started=NOW - 90, finished=NOW, outcome="failed", exit_code=3, message="no disk")
        ],
        gaps=[Gap(reason="age", since=NOW - 9, until=NOW, readings=1840, reports=12)],
    )
    markup = Markup(home.client.get(f"/hosts/{host.id}", headers=cookie).text)
    for words in (
        *("disk is critical", "shop http 200 in 80 ms", "Config refused agent.toml:3: no such key", "→ critical"),
        *(
            "vacuum failed, exit code 3",
            "took 1m30s",
            "no disk",
            "cpu model Z80",
            "rack r7",
            "1,840 readings, 12 reports",
        ),
    ):
        assert words in markup.words, words
    states = [row.get("class") for row in markup.all("tr") if "data-check" in row]
    assert states == ["s-critical", "s-ok"]


def test_what_a_host_that_is_down_said_last_is_shown_as_old(home: Home, cookie: dict[str, str]) -> None:
    """A green check of a host that nobody hears would be a lie."""
    host = reporting(home)
    record = replace(stored(home, host.id), state="down", message="No report.")
    with home.database.write() as connection:
        hosts.save_standing(connection, [record])
    text = Markup(home.client.get(f"/hosts/{host.id}", headers=cookie).text).text
    assert "As of the last report." in text


def stored(home: Home, host: str) -> HostRecord:
    """The host as home has it."""
    with home.database.read() as connection:
        record = hosts.find_active(connection, host)
    assert record is not None
    return record


def test_an_enrolled_host_that_has_not_reported_says_so(home: Home, cookie: dict[str, str]) -> None:
    """On both pages, without figures that nobody measured."""
    host = support.Host(home.client, home.clock)
    host.enroll(home.token())
    assert "never" in Markup(home.client.get("/", headers=cookie).text).text
    assert "has not reported yet" in Markup(home.client.get(f"/hosts/{host.id}", headers=cookie).text).text


def test_htmx_gets_both_fragments_of_a_host_page_and_not_the_charts(home: Home, cookie: dict[str, str]) -> None:
    """What draws itself stays."""
    host = reporting(home)
    markup = Markup(home.client.get(f"/hosts/{host.id}", headers={**cookie, "HX-Request": "true"}).text)
    sections = {attributes["id"]: attributes for attributes in markup.all("section")}
    assert set(sections) == {"overview", "activity", "host-backups", "host-updates", "logs"}
    assert sections["activity"]["hx-swap-oob"] == "true"


def test_a_host_with_a_wrong_clock_is_drawn_where_its_samples_belong(home: Home, cookie: dict[str, str]) -> None:
    """It signs by home's clock, and measures by its own, which is an hour ahead."""
    host = support.Host(home.client, home.clock)
    host.enroll(home.token())
    for _ in range(3):
        home.clock.now += 15
        now = home.clock() + 3600
        reading = Reading("cpu", "cpu_used_percent", 40.0, "percent", {}, now - 1)
        assert host.send(host.report(time=now, readings=[reading])).status_code == 200
    answer = home.client.get(f"/hosts/{host.id}/charts?range=1h", headers=cookie).json()
    [line] = answer["charts"][0]["lines"]
    drawn = [time for time, value in zip(answer["times"], line["values"], strict=True) if value is not None]
    assert drawn
    assert all(home.clock() - 90 <= time <= home.clock() for time in drawn)
    assert all(time % answer["step"] == 0 for time in answer["times"])


def test_charts_with_since_bring_whole_steps_only(home: Home, cookie: dict[str, str]) -> None:
    """Half a step would come back as another mean than the one that is drawn."""
    host = support.Host(home.client, home.clock)
    host.enroll(home.token())
    values = iter((10.0, 30.0, 50.0, 70.0))
    home.clock.now = NOW - NOW % 30
    for value in values:
        reading = Reading("cpu", "cpu_used_percent", value, "percent", {}, home.clock())
        assert host.send(host.report(time=home.clock(), readings=[reading])).status_code == 200
        home.clock.now += 15
    whole = home.client.get(f"/hosts/{host.id}/charts", headers=cookie).json()
    [line] = whole["charts"][0]["lines"]
    assert [value for value in line["values"] if value is not None] == [20.0, 60.0]
    since = whole["times"][-1] - 14
    newer = home.client.get(f"/hosts/{host.id}/charts?since={since}", headers=cookie).json()
    samples = dict(zip(newer["times"], newer["charts"][0]["lines"][0]["values"], strict=True))
    drawn = dict(zip(whole["times"], line["values"], strict=True))
    assert samples.items() <= drawn.items()
    assert {value for value in samples.values() if value is not None} == {20.0, 60.0}


@pytest.mark.parametrize("query", ["range=nonsense", "since=nan", "since=-1", "since=1e400", "since=x", "range=7d"])
def test_charts_answer_whatever_the_address_says(home: Home, cookie: dict[str, str], query: str) -> None:
    """What makes no sense counts as not given."""
    host = reporting(home)
    home.clock.now += 1
    answer = home.client.get(f"/hosts/{host.id}/charts?{query}", headers=cookie)
    assert answer.status_code == 200
    assert answer.json()["charts"][0]["title"] == "CPU"


# For all pages


def test_what_comes_from_outside_is_never_markup(home: Home, cookie: dict[str, str]) -> None:
    """Names, messages, facts, events, jobs: they are shown as they are, and are nothing but text."""
    host = reporting(home)
    check = CheckState(name=HOSTILE, kind=HOSTILE, state="critical", message=HOSTILE, since=NOW, time=NOW)
    figure = Figure(HOSTILE, 50.0, HOSTILE)
    record = replace(
        stored(home, host.id),
        message=HOSTILE,
        facts={"os": HOSTILE, HOSTILE: HOSTILE},
        agent=HOSTILE,
        checks=[check],
        vitals=Vitals(cpu=figure, disks=[figure], services=figure),
    )
    happened = hosts.Intake(
        changes=[(host.id, StateChange(time=NOW, check=HOSTILE, before="ok", after="critical", message=HOSTILE))],
        events=[(host.id, Event(time=NOW, kind=HOSTILE, message=HOSTILE, check=HOSTILE))],
        jobs=[(host.id, JobResult(name=HOSTILE, started=NOW, finished=NOW, outcome="failed", message=HOSTILE))],
    )
    with home.database.write() as connection:
        hosts.rename(connection, host.id, HOSTILE)
        hosts.save_standing(connection, [record])
        hosts.add_intake(connection, happened)
    for path, shown in (("/", 3), (f"/?{urlencode({'q': HOSTILE[:100]})}", 3), (f"/hosts/{host.id}", 12)):
        markup = Markup(home.client.get(path, headers=cookie).text)
        assert markup.text.count(HOSTILE) >= shown
        assert_untouched(markup)


def test_what_a_person_was_made_to_click_is_never_markup(home: Home) -> None:
    """Nor does an address make a page say or do anything."""
    for answer in (
        log_in(home, HOSTILE, "x", next=f"/{HOSTILE}"),
        home.client.get(f"/login?{urlencode({'next': '/' + HOSTILE})}"),
        home.client.get(f"/hosts/{quote(HOSTILE, safe='')}"),
    ):
        assert_untouched(Markup(answer.text))


def assert_untouched(markup: Markup) -> None:
    """No element and no attribute came out of HOSTILE."""
    assert not [tag for tag, attributes in markup.elements if tag in ("img", "b") or "hostile" in attributes]
    assert all("src" in script for script in markup.all("script"))


@pytest.mark.parametrize("path", ["/", "/hosts/web1", "/login", "/nothing"])
def test_every_page_keeps_to_the_policy_that_it_is_sent_with(home: Home, cookie: dict[str, str], path: str) -> None:
    """No inline script, no inline style, no handler in an attribute, nothing from elsewhere."""
    reporting(home)
    answer = home.client.get(path, headers=cookie if path != "/login" else {})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, attributes in Markup(answer.text).elements:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith(("on", "hx-on", "hx-vals", "hx-vars"))]
        if tag == "script":
            assert (attributes["src"] or "").startswith("/static/")
        for name in ("src", "href", "action", "hx-get"):
            assert (attributes.get(name) or "/").startswith(("/", "#", "?")), attributes


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/hosts/nothing", 404),
        ("GET", "/hosts/nothing/charts", 404),
        ("PUT", "/", 405),
    ],
)
def test_errors_are_pages_for_people(home: Home, cookie: dict[str, str], method: str, path: str, status: int) -> None:
    """With a way back."""
    answer = home.client.request(method, path, headers={**cookie, "Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "/" in [link.get("href") for link in Markup(answer.text).all("a")]


def test_a_fault_of_ours_is_a_page_without_its_inside(
    home: Home, cookie: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback is in the log, not on the page."""

    def fail(self: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("collector.fleet.Fleet._hosts", fail)
    answer = home.client.get("/", headers=cookie)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert "secret" not in answer.text
