"""A login leads nowhere but to a page of this home."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.web.location import local_path, path_of

HOME = "https://home.test"
EVIL = [
    "https://evil.test/",
    "//evil.test/",
    "///evil.test/",
    "/\\evil.test/",
    "\\\\evil.test/",
    "/\t/evil.test/",
    "/\n/evil.test",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.test",
    "/ü",
    "",
    "hosts/1",
    "/\x00/evil.test",
    "/" + "x" * 3000,
    "/login?next=/",
    "/logout",
]


@pytest.mark.parametrize("target", EVIL)
def test_what_is_not_a_path_here_leads_to_the_start(target: str) -> None:
    """Whatever browsers take for another server's address is refused."""
    assert local_path(target) == "/"


@pytest.mark.parametrize("target", ["/", "/?state=critical&q=a+b", "/hosts/abc?range=6h", "/hosts/x%20y"])
def test_a_page_here_is_kept(target: str) -> None:
    """With its query, so that a filter or a range survives the login."""
    assert local_path(target) == target
    assert path_of(HOME + target) == target


@given(st.text(alphabet=st.sampled_from(list("/\\:.@?#evil\t\n ")) | st.characters(), max_size=30))
def test_no_target_leaves_this_server(target: str) -> None:
    """However it is written."""
    for safe in (local_path(target), local_path("/" + target), path_of(target)):
        assert urlsplit(urljoin(HOME, safe)).netloc == "home.test"
        assert not safe.startswith(("//", "/\\"))
