"""Static files: what was vendored is what was released, and URLs change with their content."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from collector.web.pages import STATIC
from collector.web.static_files import StaticFiles
from tests.collector.support import Home

STATIC_FOLDER = Path("collector/web/static")


def test_vendored_files_are_unchanged(repository: Path) -> None:
    """VERSIONS.md lists every file there is, with its hash."""
    folder = repository / STATIC_FOLDER / "vendor"
    listed = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (folder / "VERSIONS.md").read_text(), re.M))
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "VERSIONS.md"
    }
    assert found == listed


def test_a_changed_file_has_another_url(tmp_path: Path) -> None:
    """So browsers may keep what they have for ever."""
    (tmp_path / "a.js").write_text("1")
    before = StaticFiles(tmp_path).url("a.js")
    (tmp_path / "a.js").write_text("2")
    assert StaticFiles(tmp_path).url("a.js") != before


def test_a_file_that_is_not_there_has_no_url() -> None:
    """A template with a typing error fails in tests, not in browsers."""
    with pytest.raises(KeyError, match=r"nothing\.js"):
        STATIC.url("nothing.js")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("app.css", "text/css"), ("charts.js", "text/javascript"), ("favicon.svg", "image/svg+xml")],
)
def test_the_current_release_is_kept_for_ever_and_an_old_one_is_not(home: Home, name: str, media_type: str) -> None:
    """A page of the release before still finds its files while home is upgraded."""
    current = home.client.get(STATIC.url(name))
    assert current.status_code == 200
    assert "immutable" in current.headers["Cache-Control"]
    assert current.headers["Content-Type"].startswith(media_type)
    old = home.client.get(f"/static/0123456789abcdef/{name}")
    assert (old.content, old.headers["Cache-Control"]) == (current.content, "no-cache")


@pytest.mark.parametrize("name", ["nothing.js", "..%2fpages.py", "%2e%2e/pages.py", "", "vendor"])
def test_nothing_but_the_files_is_served(home: Home, name: str) -> None:
    """Whatever the path says."""
    assert home.client.get(f"/static/{STATIC.fingerprint}/{name}").status_code == 404
