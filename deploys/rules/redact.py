"""Text without the secrets in it. Pure, and without other modules of ours: it runs on hosts too.

Two ways, for neither is enough: what is known to be a secret is looked for as it is, and what stands where secrets
stand is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "[redacted]"
SHORTEST = 6
"""Letters of a known secret: shorter ones are part of any text."""
_NAME = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)"
_PLACE = r"(?![\w.-]{0,64}[_-](?:file|command|folder|dir)\b)"
"""No word that says where a secret is."""
_NOTHING = r"(?:true|false|null|none)\b"
_STRING = r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\\"(?:(?!\\").)*(?:\\")?)"""
# What may repeat is bounded, or a line of a hostile log would take hours.
_RULES = (
    # Keys, also those of which the beginning or the end is missing, or of which each line stands by itself.
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.{0,16384}?-----END [A-Z ]*PRIVATE KEY-----)?", REDACTED),
    (r"\A(?:[A-Za-z0-9+/=]{1,80}\s+)+-----END [A-Z ]*PRIVATE KEY-----", REDACTED),
    (r"(?m)(?<![\w+/=-])(?![0-9a-f]+$)[A-Za-z0-9+/]{60,}={0,2}$", REDACTED),
    (r"\b([A-Za-z][\w+.-]{0,30}://[^/\s:@\"']{0,256}:)[^/\s\"']{1,256}@", rf"\1{REDACTED}@"),
    (
        r"(?im)\b((?:proxy-)?authorization|cookie|set-cookie|x-[\w-]{0,64}(?:key|token))(\\?[\"']?\s*[:=]).*$",
        rf"\1\2 {REDACTED}",
    ),
    (r"(?i)\b(bearer|basic)\s+[\w+/.~=-]{8,}", rf"\1 {REDACTED}"),
    (r"\b((?:mysql|mariadb)[\w-]{0,32}\b[^\n]{0,500}?\s-p)\S+", rf"\1{REDACTED}"),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", REDACTED),
    (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", REDACTED),
    (r"\$(?:y|gy|7|6|5|2[abxy]|1|argon2id?|scrypt)\$[^\s:\"']+", REDACTED),
)
_NAMED = (
    (
        rf"(?i)\b{_PLACE}([\w.-]{{0,64}}{_NAME}[\w.-]{{0,64}})(\\?[\"']?\s*[=:]\s*)(?!{_NOTHING})({_STRING}|[^\s,;&\"']+)",
        rf"\1\2{REDACTED}",
    ),
    (
        rf"(?i)(\s--?{_PLACE}[\w-]{{0,64}}(?:{_NAME}|\bpass)[\w-]{{0,64}})[ \t]+({_STRING}|[^\s-]\S*)",
        rf"\1 {REDACTED}",
    ),
)
"""For lines alone that have such a name at all: they look for where it begins at each word."""
_COMPILED = tuple((re.compile(pattern), replacement) for pattern, replacement in _RULES)
_COMPILED_NAMED = tuple((re.compile(pattern), replacement) for pattern, replacement in _NAMED)
_NAMES = re.compile(rf"(?i){_NAME}|-[\w-]{{0,64}}pass")
_VARIABLE = re.compile(r"(?:export\s+)?[A-Za-z_]\w*=(.*)")


def known_secrets(text: str) -> set[str]:
    """What is to be looked for, of a file that holds secrets: each line, and the value of `NAME=VALUE`."""
    found = set()
    for line in text.splitlines():
        match = _VARIABLE.fullmatch(line.strip())
        found.add((match[1] if match else line).strip().strip("\"'"))
        found.add(line.strip())
    return {secret for secret in found if len(secret) >= SHORTEST and not secret.startswith("#")}


def redact(text: str, known: Iterable[str]) -> str:
    """The text with REDACTED in the place of each secret."""
    # The longest first, for one may be a part of another.
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return "\n".join(_without_named(line) if _NAMES.search(line) else line for line in text.split("\n"))


def _without_named(line: str) -> str:
    for pattern, replacement in _COMPILED_NAMED:
        line = pattern.sub(replacement, line)
    return line
