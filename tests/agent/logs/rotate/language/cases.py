"""Small configurations and what logrotate 3.22 says of them: the format of cases.txt.

    == what the case holds
    the configuration, the file `c`
    -- d/name 0644
    another file, with its mode
    >> 1
    what is said, after the exit code

`@` stands for the folder of the case, where `a.log` and `b.log` are, both empty; `<0d>` for a byte, `<eof>` at the
end of a file for no newline there. Of what is said, that which depends on the time is left out (`condensed`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("cases.txt")
HOME = "/nonexistent"
"""What `~` is to mean."""
ARGUMENTS = ("-d", "-s", "/dev/null", "c")
_LEFT_OUT = re.compile(
    rb"warning: logrotate in debug mode.*|Reading state from .*|Allocating hash .*|  Now: .*|  Last rotated .*|"
    rb"  log does not need .*|Creating new state|"
)


@dataclass
class Case:
    """`files` are name to content and mode; the configuration is `c`."""

    title: str
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    code: int = 0
    said: str = ""

    def prepare(self, folder: Path) -> None:
        """Make the files in a folder, which becomes the case's."""
        for name in ("a.log", "b.log"):
            (folder / name).touch()
        for name, (content, mode) in self.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.replace(b"@", str(folder).encode()))
            path.chmod(mode)


def condensed(said: bytes, folder: Path) -> str:
    """What was said, as the case has it."""
    said = re.sub(rb"\(pid \d+\)", b"(pid N)", said.replace(str(folder).encode(), b"@"))
    lines = re.sub(rb"^(dateext suffix '-)\d{8}'", rb"\1DAY'", said, flags=re.MULTILINE).split(b"\n")
    return _shown(b"\n".join(line for line in lines if not _LEFT_OUT.fullmatch(line)))


def load() -> list[Case]:
    """All cases."""
    cases: list[Case] = []
    for block in re.split(r"^== ", FILE.read_text(), flags=re.MULTILINE)[1:]:
        title, _, rest = block.partition("\n")
        texts, _, said = rest.partition(">> ")
        code, _, said = said.partition("\n")
        case = Case(title, {}, int(code), said.rstrip("\n"))
        first, *others = re.split(r"^-- ", texts, flags=re.MULTILINE)
        case.files["c"] = (_content(first), 0o644)
        for other in others:
            head, _, text = other.partition("\n")
            name, mode = head.split()
            case.files[name] = (_content(text), int(mode, 8))
        cases.append(case)
    return cases


def dump(cases: list[Case]) -> str:
    """The text that `load` reads."""
    parts = []
    for case in cases:
        parts.append(f"== {case.title}\n")
        for name, (content, mode) in case.files.items():
            parts.append("" if name == "c" else f"-- {name} {mode:04o}\n")
            parts.append(_shown(content) if content.endswith(b"\n") else f"{_shown(content)}<eof>\n")
        parts.append(f">> {case.code}\n{case.said}\n\n")
    return "".join(parts)


def _content(text: str) -> bytes:
    text = text.removesuffix("<eof>\n")
    return re.sub(rb"<([0-9a-f]{2})>", lambda match: bytes.fromhex(match[1].decode()), text.encode())


def _shown(content: bytes) -> str:
    return re.sub(rb"[^\n\t -~]", lambda match: b"<%02x>" % match[0][0], content).decode()
