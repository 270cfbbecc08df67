"""User agents by what they are (pure): their texts differ in versions that few ask for."""

from __future__ import annotations

import re

_NAMED = (
    (re.compile(rb"Edg(?:e|A|iOS)?/"), "Edge"),
    (re.compile(rb"OPR/|Opera"), "Opera"),
    (re.compile(rb"SamsungBrowser/"), "Samsung Internet"),
    (re.compile(rb"Firefox/|FxiOS/"), "Firefox"),
    (re.compile(rb"Chrome/|CriOS/|Chromium/"), "Chrome"),
    (re.compile(rb"Version/[0-9.]+.* Safari/"), "Safari"),
    (re.compile(rb"MSIE |Trident/"), "Internet Explorer"),
)
_ROBOT = re.compile(rb"\b([A-Za-z][\w.-]{0,40}(?i:bot|spider|crawler|slurp|preview|monitor|check|feed)[\w-]{0,20})\b")
_COMPATIBLE = re.compile(rb"\(compatible; ([A-Za-z][\w .-]{0,40}?)(?:/|;|\))")
_FIRST = re.compile(rb"([A-Za-z][\w.+-]{0,40})")


def family(agent: bytes) -> str:
    """`Firefox`, `Googlebot`, `curl`; `none` where the client did not say."""
    if agent in (b"", b"-"):
        return "none"
    robot = _ROBOT.search(agent)
    if robot is not None:
        return robot[1].decode("ascii", "replace")
    for pattern, name in _NAMED:
        if pattern.search(agent):
            return name
    named = _COMPATIBLE.search(agent) or _FIRST.match(agent)
    return named[1].decode("ascii", "replace") if named else "other"
