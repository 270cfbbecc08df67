"""The pages in a real browser, over TLS, at a desk and on a phone, with reports that hosts really sent."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.collector import support
from tests.web.conftest import Site, Visit
from wire.report import CheckState, Reading, State

pytestmark = pytest.mark.browser
both_widths = pytest.mark.parametrize("width", [1440, 390])
Open = Callable[..., Visit]


def say(host: support.Host, cpu: float = 12.0, state: State = "ok", **fields: Any) -> None:
    """Send a report with one figure of each kind."""
    now = time.time()
    checks = [
        CheckState(name=name, kind=name, state=now_in, message=f"{name} is {now_in}", since=now - 60, time=now - 1)
        for name, now_in in {"cpu": state, "memory": "ok", "disk": "ok", "systemd": "ok"}.items()
    ]
    readings = [reading for ago in fields.pop("agos", [1]) for reading in measured(cpu, now - ago)]
    answer = host.send(host.report(**{"time": now, "checks": checks, "readings": readings, **fields}))
    assert answer.status_code == 200, answer.text


def measured(cpu: float, now: float) -> list[Reading]:
    """What a host measures in one go."""
    return [
        Reading("cpu", "cpu_used_percent", cpu, "percent", {}, now),
        Reading("memory", "memory_used_percent", 61.0, "percent", {}, now),
        Reading("disk", "disk_used_percent", 43.0, "percent", {"mount": "/"}, now),
        Reading("systemd", "systemd_units_failed", 0.0, "", {}, now),
        Reading("network", "network_sent_bytes_per_second", 2e6, "bytes/s", {"interface": "eth0"}, now),
    ]


def row(page: Page, host: support.Host) -> Any:
    """The host's row of the fleet."""
    return page.locator(f'[data-host="{host.id}"]')


@both_widths
def test_a_login_leads_to_the_fleet_and_a_logout_back(visit: Open, width: int) -> None:
    """By keyboard alone: the name has the focus, after a failure the password, and Enter sends."""
    one = visit(width, logged_in=False)
    page = one.page
    name, password = page.get_by_label("Name"), page.get_by_label("Password")
    one.open("/?state=warning")
    expect(name).to_be_focused()
    page.keyboard.type(one.site.name)
    page.keyboard.press("Tab")
    expect(password).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(name).to_have_value(one.site.name)
    expect(password).to_be_focused()
    assert one.sticking_out() == []
    assert all("401" in complaint for complaint in one.complaints)  # the browser notes every such status
    one.complaints.clear()
    page.keyboard.type(one.site.password)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/\?state=warning$"))
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile(r"/login$"))


@both_widths
def test_the_fleet_shows_each_state_in_its_colour_and_in_words(visit: Open, site: Site, width: int) -> None:
    """Green, yellow and red by the stylesheet's own variables; an icon of its own shape for each."""
    states: tuple[State, ...] = ("ok", "warning", "critical")
    hosts = {state: site.host(f"colour{width}-{state}") for state in states}
    for state, host in hosts.items():
        say(host, 78.0, state)
    one = visit(width)
    one.open(f"/?q=colour{width}")
    fills = {"ok": "--ok", "warning": "--warning-fill", "critical": "--critical"}
    icons = set()
    for state, host in hosts.items():
        shown = row(one.page, host)
        expect(shown.locator(".badge")).to_have_text(state)
        icons.add(shown.locator(".badge use").get_attribute("href"))
        bar = shown.locator(".c-cpu .bar-fill")
        assert float(bar.get_attribute("width")) == 78
        assert bar.evaluate("bar => getComputedStyle(bar).fill") == one.page.evaluate(
            """name => {
                const probe = document.body.appendChild(document.createElement("i"));
                probe.style.color = `var(${name})`;
                const colour = getComputedStyle(probe).color;
                probe.remove();
                return colour;
            }""",
            fills[state],
        )
        for figure in ("61 %", "43 %", "0 failed"):
            expect(shown).to_contain_text(figure)
    assert len(icons) == 3
    names = one.page.locator("[data-host] .c-name a").all_inner_texts()
    assert names == [f"colour{width}-{state}" for state in reversed(states)]
    assert one.sticking_out() == []


@both_widths
def test_the_host_page_draws_its_charts(visit: Open, site: Site, width: int) -> None:
    """Lines in the colours of the scheme, from what the host sent; the keys say the newest values."""
    host = site.host(f"charts{width}")
    for minutes in (3, 2, 1, 0):
        say(host, 30.0 + minutes, agos=range(60 * minutes + 60, 60 * minutes, -15))
    one = visit(width)
    one.open(f"/hosts/{host.id}")
    page = one.page
    chart = page.locator(".chart", has=page.get_by_text("CPU", exact=True))
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart.locator(".key-value")).to_have_text("30 %")
    expect(page.locator("#charts-main .chart canvas")).to_have_count(4)
    for canvas in page.locator("#charts-main .chart canvas").all():
        assert canvas.evaluate(PIXELS, "--series-1") > 20
    expect(page.locator(".tile").first).to_contain_text("30 %")
    expect(chart.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"CPU over 1h, now: used 30 %"))
    assert one.sticking_out() == []
    page.get_by_text("More measurements").click()
    expect(page.locator("#charts-more .chart canvas")).to_be_visible()
    page.get_by_role("link", name="24h").click()
    expect(page).to_have_url(re.compile(r"range=24h$"))
    expect(page.locator('[aria-current="true"]')).to_have_text("24h")
    expect(chart.get_by_role("img")).to_have_attribute("aria-label", re.compile("over 24h"))


PIXELS = """(canvas, name) => {
    const wanted = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16));
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
        const near = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 30;
        if (near && data[at + 3] > 128) count += 1;
    }
    return count;
}"""
"""How many pixels of a canvas have the colour of a variable."""


@both_widths
def test_the_fleet_lives_without_a_reload_and_without_losing_the_readers_place(
    visit: Open, site: Site, width: int
) -> None:
    """A change of state shows; the focus and the position stay, and nothing that did not change moves."""
    hosts = [site.host(f"live{width}-{number:02}") for number in range(24)]
    for host in hosts:
        say(host)
    one = visit(width)
    page = one.page
    one.open(f"/?q=live{width}-")
    page.evaluate("window.sameAsBefore = true")
    link = row(page, hosts[20]).get_by_role("link")
    link.focus()
    page.evaluate("scrollBy(0, 100)")
    page.wait_for_timeout(700)  # shifts within half a second of input do not count
    scrolled = page.evaluate("scrollY")
    assert scrolled > 0
    page.evaluate("window.shifted = 0")
    say(hosts[23], 97.0)
    say(hosts[20], 55.0)
    expect(row(page, hosts[23])).to_contain_text("97 %")
    expect(row(page, hosts[20])).to_contain_text("55 %")
    expect(link).to_be_focused()
    assert page.evaluate("scrollY") == scrolled
    assert page.evaluate("window.shifted") < 0.001
    say(hosts[23], 97.0, "critical")
    expect(row(page, hosts[23])).to_have_attribute("data-state", "critical")
    expect(page).to_have_title(re.compile(r"^\(1\) Fleet"))
    assert page.evaluate("window.sameAsBefore")


def test_a_click_that_a_live_update_falls_into_is_not_lost(visit: Open, site: Site) -> None:
    """What is pressed is not replaced before it is let go; the news shows afterwards."""
    host = site.host("pressed")
    say(host, 33.0)
    one = visit()
    page = one.page
    one.open("/?q=pressed")
    link = row(page, host).get_by_role("link")
    link.hover()
    page.mouse.down()
    say(host, 44.0)
    for _ in range(2):
        with page.expect_response(lambda response: "q=pressed" in response.url):
            pass
    expect(row(page, host)).to_contain_text("33 %")
    page.mouse.up()
    expect(page).to_have_url(re.compile(f"/hosts/{host.id}$"))
    page.go_back()
    expect(row(page, host)).to_contain_text("44 %")


def test_a_host_that_goes_quiet_turns_down_on_both_pages_by_itself(visit: Open, site: Site) -> None:
    """And its figures, which are old now, turn gray."""
    host = site.host("quiet")
    say(host, 33.0, interval=1.0)
    fleet, detail = visit(), visit()
    fleet.open("/?q=quiet")
    detail.open(f"/hosts/{host.id}")
    expect(row(fleet.page, host)).to_have_attribute("data-state", "down")
    expect(row(fleet.page, host).locator(".c-cpu .figure")).to_have_class(re.compile("s-unknown"))
    expect(detail.page.locator("#overview")).to_have_attribute("data-state", "down")
    expect(detail.page.get_by_text("As of the last report.")).to_be_visible()
    say(host, 34.0, interval=600.0)
    expect(row(fleet.page, host)).to_have_attribute("data-state", "ok")
    expect(detail.page.locator(".timeline")).to_contain_text("down → ok")


def test_charts_grow_while_one_looks(visit: Open, site: Site) -> None:
    """What a host measured just now is drawn without a reload, in the same canvas."""
    host = site.host("growing")
    say(host, 10.0, agos=range(300, 60, -15))
    one = visit()
    one.open(f"/hosts/{host.id}")
    chart = one.page.locator(".chart", has=one.page.get_by_text("CPU", exact=True))
    expect(chart.locator(".key-value")).to_have_text("10 %")
    chart.locator("canvas").evaluate("canvas => { window.canvas = canvas; }")
    say(host, 88.0)
    expect(chart.locator(".key-value")).to_have_text("88 %")
    assert chart.locator("canvas").evaluate("canvas => canvas === window.canvas")


def test_a_home_that_does_not_answer_is_told_and_what_is_shown_marked_as_old(visit: Open, site: Site) -> None:
    """Until it answers again."""
    host = site.host("cut-off")
    say(host, interval=600.0)
    one = visit()
    page = one.page
    one.open(f"/hosts/{host.id}")
    expect(page.locator("#live")).to_have_text("Live")
    page.route("**/*", lambda route: route.abort())
    expect(page.locator("#notice")).to_contain_text("Home does not answer.")
    expect(page.locator("#live")).to_have_text("Not live")
    assert page.locator("#overview").evaluate("part => getComputedStyle(part).filter") == "grayscale(1)"
    page.unroute("**/*")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#live")).to_have_text("Live")
    assert all("ERR_FAILED" in complaint or "htmx" in complaint for complaint in one.complaints)
    one.complaints.clear()


@pytest.mark.parametrize("path", ["/?q=expired", "/hosts/{id}?range=6h"])
def test_when_the_session_ends_the_page_goes_to_the_login_and_back_afterwards(
    visit: Open, site: Site, path: str
) -> None:
    """By itself, and not with a login form inside a page."""
    host = site.host(f"expired-{len(path)}")
    say(host, interval=600.0)
    one = visit()
    page = one.page
    path = path.format(id=host.id)
    one.open(path)
    expect(page.locator("#live")).to_have_text("Live")
    token = page.context.cookies()[0]
    site.client.post(
        "/logout", headers={"Cookie": f"{token['name']}={token['value']}", "Sec-Fetch-Site": "same-origin"}
    )
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Name").fill(site.name)
    page.get_by_label("Password").fill(site.password)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(site.real.url + path)
    assert all("401" in complaint or "Response Status Error" in complaint for complaint in one.complaints)
    one.complaints.clear()


def test_a_search_narrows_the_fleet_as_one_types_and_the_address_with_it(visit: Open, site: Site) -> None:
    """The caret stays in the field through live updates; a state narrows further; the address can be reloaded."""
    for name, state in {"search-a1": "ok", "search-a2": "critical", "search-b": "ok"}.items():
        say(site.host(name), state=state, interval=600.0)  # type: ignore[arg-type]  # both are states
    one = visit()
    page = one.page
    one.open("/")
    page.get_by_role("searchbox").click()
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("search-a")
    expect(page.locator("[data-host]")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"\?q=search-a$"))
    with page.expect_response(lambda response: "q=search-a" in response.url):
        pass  # a live update
    page.keyboard.type("1")
    expect(page.locator("[data-host]")).to_have_count(1)
    page.keyboard.press("Backspace")
    expect(page.locator("[data-host]")).to_have_count(2)
    page.locator("#chip-critical").click()
    expect(page.locator("[data-host] .c-name a")).to_have_text(["search-a2"])
    expect(page).to_have_url(re.compile(r"\?state=critical&q=search-a$"))
    page.get_by_role("searchbox").fill("search-")
    expect(page).to_have_url(re.compile(r"\?state=critical&q=search-$"))
    page.reload()
    expect(page.locator("[data-host] .c-name a")).to_have_text(["search-a2"])


def test_a_hidden_page_asks_nothing_and_one_that_is_seen_again_asks_at_once(visit: Open) -> None:
    """A forgotten tab costs nobody anything."""
    one = visit()
    page = one.page
    page.context.add_init_script("Object.defineProperty(document, 'hidden', { get: () => window.away === true });")
    one.open("/")
    page.evaluate("window.away = true")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.wait_for_timeout(6500)
    assert [request.url for request in asked if "/static/" not in request.url] == []
    with page.expect_request("**/*"):
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")


def test_the_keyboard_reaches_what_matters(visit: Open, site: Site) -> None:
    """First a way past the header; a host opens with Enter."""
    host = site.host("keyboard")
    say(host, interval=600.0)
    one = visit()
    page = one.page
    one.open("/?q=keyboard")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    link = row(page, host).get_by_role("link")
    link.focus()
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("keyboard")
    expect(page.get_by_role("main")).to_have_count(1)


def test_times_are_the_readers_own(visit: Open, site: Site) -> None:
    """Ages by home's clock, moments in the reader's zone; both with the full time behind."""
    host = site.host("times")
    say(host, interval=600.0)
    one = visit()
    one.open(f"/hosts/{host.id}")
    expect(one.page.locator(".host-report time")).to_have_text(re.compile(r"^\d+ s$"))
    moment = one.page.locator("[data-check=cpu] .c-since time")
    utc = moment.get_attribute("datetime")
    local = one.page.evaluate("utc => new Date(utc).toLocaleTimeString('en-GB', { timeZone: 'Europe/Berlin' })", utc)
    expect(moment).to_have_text(re.compile(rf"{local}$"))


@both_widths
def test_the_longest_names_there_may_be_fit(visit: Open, site: Site, width: int) -> None:
    """Nothing makes a page scroll sideways."""
    host = site.host(f"{width}-" + "x" * 200)
    now = time.time()
    check = CheckState(name="c" * 128, kind="k" * 128, state="critical", message="m" * 500, since=now, time=now)
    reading = Reading("c" * 128, "disk_used_percent", 91.0, "percent", {"mount": "/" + "v" * 200}, now - 1)
    say(host, checks=[check], readings=[reading], facts={"os": "o" * 256, "f" * 128: "v" * 256}, interval=600.0)
    one = visit(width)
    for path in (f"/?q={width}-xx", f"/hosts/{host.id}"):
        one.open(path)
        one.page.wait_for_timeout(500)
        assert one.sticking_out() == [], path


def test_samples_are_merged_trimmed_and_broken_where_none_came(visit: Open) -> None:
    """What the charts' own functions do, in the browser that runs them."""
    one = visit()
    one.open("/")
    path = one.page.locator("script[src$='app.js']").get_attribute("src")
    assert path is not None
    assert one.page.evaluate(
        """async (path) => {
            const { broken, merge, samples, trim } = await import(path.replace("app.js", "series.js"));
            const line = samples([0, 30, 60, 90], [1, null, 3, 4]);
            const taken = structuredClone(line);
            merge(line, { times: [90, 120], values: [5, 6] });
            merge(line, { times: [], values: [] });
            const merged = structuredClone(line);
            trim(line, 100);
            return {
                taken, merged, trimmed: line,
                whole: broken({ times: [0, 30, 60], values: [1, 2, 3] }, 30),
                seldom: broken({ times: [0, 300, 600], values: [1, 2, 3] }, 30),
                holed: broken({ times: [0, 30, 60, 300, 330], values: [1, 2, 3, 4, 5] }, 30),
            };
        }""",
        path,
    ) == {
        "taken": {"times": [0, 60, 90], "values": [1, 3, 4]},
        "merged": {"times": [0, 60, 90, 120], "values": [1, 3, 5, 6]},
        "trimmed": {"times": [90, 120], "values": [5, 6]},
        "whole": [[0, 30, 60], [1, 2, 3]],
        "seldom": [[0, 300, 600], [1, 2, 3]],
        "holed": [[0, 30, 60, 90, 300, 330], [1, 2, 3, None, 4, 5]],
    }


def test_values_read_with_units_that_fit(visit: Open) -> None:
    """On axes and in keys."""
    one = visit()
    one.open("/")
    path = one.page.locator("script[src$='app.js']").get_attribute("src")
    values = [(43.21, "percent"), (0, "percent"), (1536, "bytes"), (2.5e6, "bytes/s"), (0.0843, "seconds")]
    values += [(90000, "seconds"), (12.5, "1/s"), (123456, ""), (0.004, ""), (-2, "")]
    assert one.page.evaluate(
        """async ([path, values]) => {
            const { figure } = await import(path.replace("app.js", "units.js"));
            return values.map(([value, unit]) => figure(value, unit));
        }""",
        [path, values],
    ) == ["43.2 %", "0 %", "1.5 KiB", "2.38 MiB/s", "84.3 ms", "25 h", "12.5 /s", "123 k", "0.004", "-2"]
