"""Which kernel is the newest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.kernels import newer_kernel


@pytest.mark.parametrize(
    ("running", "images", "expected"),
    [
        ("6.1.0-18-amd64", ["6.1.0-18-amd64", "6.1.0-9-amd64"], None),
        ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-18-amd64", "6.1.0-13-amd64"], "6.1.0-18-amd64"),
        ("6.1.0-9-cloud-amd64", ["6.1.0-18-amd64"], None),
        ("5.15.0-91-generic", ["5.15.0-101-generic"], "5.15.0-101-generic"),
        ("5.14.0-284.el9_2.x86_64", ["5.14.0-362.8.1.el9_3.x86_64"], "5.14.0-362.8.1.el9_3.x86_64"),
        ("5.14.0-362.8.1.el9_3.x86_64", ["0-rescue-0123456789abcdef"], None),
        ("6.18.44-custom", [], None),
        ("strange", ["6.1.0-18-amd64"], None),
    ],
)
def test_a_newer_kernel_is_one_of_the_same_flavour(running: str, images: list[str], expected: str | None) -> None:
    """Numbers are compared as such."""
    assert newer_kernel(running, images) == expected


@given(st.text())
def test_any_text_is_no_kernel_or_one(text: str) -> None:
    """Names of files in /boot are anything."""
    found = newer_kernel(text, text.split())
    assert found is None or found in text.split()
