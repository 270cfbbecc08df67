"""Homes to look at, and a real browser to look with."""

from __future__ import annotations

from tests.collector.conftest import home as home
