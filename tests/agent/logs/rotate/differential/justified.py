"""What differs from logrotate on purpose. docs/logs.md tells users of it under "What differs"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.agent.logs.rotate.differential.case import Case, Run


@dataclass(frozen=True)
class Justified:
    """A difference that may stay."""

    reason: str
    applies: Callable[[Case, str], bool]
    """Whether a difference, as `Twins.differences` words it, of a case is this one."""


TABLE = (
    Justified("The texts of --version, --help and the copyright are ours.", lambda case, text: is_help(case, text)),
    Justified("--debug sends no mail. logrotate's does.", lambda case, text: is_mail_in_debug(case, text)),
    Justified(
        "--debug does not open what it only pretends to have made, to shred it.",
        lambda case, text: is_shred_in_debug(case, text),
    ),
    Justified("--debug makes no folder. logrotate's does.", lambda case, text: is_folder_in_debug(case, text)),
    Justified(
        "The next run compresses and copies what could not be, by a journal, before it would be lost.",
        lambda case, text: what_of(text) == "status.journal" and bool(changed(text)[1].startswith("+-rw-------")),
    ),
    Justified(
        "After a failed preremove script logrotate names the reason of whatever failed before.",
        lambda case, text: is_stale_reason(text),
    ),
    Justified(
        "A link among the older ones is what it is: logrotate's maxage looks at what it points to.",
        lambda case, text: is_link_with_maxage(case),
    ),
    Justified(
        "What is rotated twice in one run, by a pattern that means old logs too or by two spellings of its path, "
        "keeps its own owner.",
        lambda case, text: is_owner_of_twice_rotated(case, text),
    ),
    Justified(
        "Where the journal cannot be made, --verbose says so.",
        lambda case, text: all(line.startswith("+a kill will not be made good: ") for line in changed(text)),
    ),
    Justified(
        "Where a log cannot be removed that is compressed now, that is said. logrotate ends with 1 and no word.",
        lambda case, text: what_of(text) == "<errors>" and all(map(UNSAID.match, changed(text))),
    ),
    Justified(
        "Which of two programs that logrotate starts at once is told of first is chance.",
        lambda case, text: is_order_of_programs(text),
    ),
    Justified(
        "A section in a file that is included in a section: logrotate loses the outer one's pattern.",
        lambda case, text: is_nested(case),
    ),
)
"""As narrow as can be: what is excused here is looked at by nobody."""


def is_help(case: Case, text: str) -> bool:
    """What is said instead of running."""
    options = run_of(case, text).options
    asked = {"--version", "--help", "-?"} & {*options} or not any(word.endswith(".conf") for word in options)
    return bool(asked) and what_of(text) in ("<output>", "<errors>")


def is_mail_in_debug(case: Case, text: str) -> bool:
    """All that comes of logrotate's mail: it stops where that fails."""
    return (
        in_debug(case, text)
        and "mail " in configuration_of(case)
        and (
            what_of(text) in ("mails", "<exit code>", "said")
            or (what_of(text) == "<errors>" and any(MAILING.search(line) for line in changed(text)))
        )
    )


def is_shred_in_debug(case: Case, text: str) -> bool:
    """Its failure, the exit code of that, and all that does not come after it."""
    return (
        in_debug(case, text)
        and "shred" in configuration_of(case)
        and (
            what_of(text) in ("<exit code>", "said")
            or (
                what_of(text) == "<errors>"
                and any(OPENING.match(line) for line in changed(text))
                and all(line.startswith("+") or OPENING.match(line) for line in changed(text))
            )
        )
    )


def is_folder_in_debug(case: Case, text: str) -> bool:
    """The folder itself, and the message that would come again."""
    return (
        in_debug(case, text)
        and "createolddir" in configuration_of(case)
        and (
            bool(re.search(r"^-d", "\n".join(changed(text)), re.MULTILINE) and "+(missing)" in text)
            or (what_of(text) == "<errors>" and all("creating new directory" in line for line in changed(text)))
        )
    )


def is_stale_reason(text: str) -> bool:
    """The same message but for its end."""
    lines = changed(text)
    return what_of(text) == "<errors>" and "Not removing this file." in text and all(map(STALE.match, lines))


def is_link_with_maxage(case: Case) -> bool:
    """Whether there is such a link."""
    return "maxage" in configuration_of(case) and any(entry.kind == "link" for entry in case.runs[0].entries)


def is_owner_of_twice_rotated(case: Case, text: str) -> bool:
    """Only the owner differs, of a file whose name has two numbers, or of whose log a path has two slashes."""
    lines = {re.sub(r"^[-+](\S+) \d+:\d+ ", r"\1 ", line) for line in changed(text)}
    twice = re.search(r"[.-]\d+\S*[.-]\d+(\.|$)", what_of(text)) or "FOLDER//log" in configuration_of(case)
    return len(lines) == 1 and bool(twice)


def is_order_of_programs(text: str) -> bool:
    """The same lines about becoming another user, in another order."""
    lines = changed(text)
    gone, come = (sorted(line[1:] for line in lines if line[0] == sign) for sign in "-+")
    return what_of(text) == "<errors>" and gone == come and all(map(SWITCHING.match, gone))


def is_nested(case: Case) -> bool:
    """Whether an include stands in braces, of a file with braces."""
    texts = {entry.path: entry.text for entry in case.runs[0].entries}
    included = [text for path, text in texts.items() if path.startswith("included.d/")]
    if not any("{" in text for text in included):
        return False
    for text in (texts.get("logrotate.conf", ""), *included):
        depth = 0
        for line in text.splitlines():
            if depth > 0 and line.strip().startswith("include"):
                return True
            depth += line.count("{") - line.count("}")
    return False


UNSAID = re.compile(r"\+error: cannot remove .*, which is compressed now: ")
SWITCHING = re.compile(r"switching uid to \d+ and gid to \d+ permanently ")
STALE = re.compile(r"[-+]error: Failed to remove old log [^:]*: ")
MAILING = re.compile(
    r"^-(error: (cannot execute mail command|(un)?compress command failed mailing|mail command failed)"
    r"|gzip: stdin: |error: .*(failed to open|opening))"
)
OPENING = re.compile(r"^-error: error opening .*: No such file or directory$")


def run_of(case: Case, text: str) -> Run:
    """The run after which it differed."""
    return case.runs[int(text.split(":")[0].removeprefix("run ")) - 1]


def what_of(text: str) -> str:
    """The name of the file or the stream that differs."""
    return text.split("\n")[0].partition(": ")[2]


def changed(text: str) -> list[str]:
    """The lines that are not the same."""
    return [line for line in text.split("\n")[3:] if line[:1] in "+-"]


def in_debug(case: Case, text: str) -> bool:
    """Whether that run was to change nothing."""
    return any(word == "--debug" or re.match(r"-[vf]*d", word) for word in run_of(case, text).options)


def configuration_of(case: Case) -> str:
    """All texts."""
    return "\n".join(entry.text for run in case.runs for entry in run.entries)


def reason(case: Case, difference: str) -> str | None:
    """Why a difference may stay; None when it may not."""
    return next((entry.reason for entry in TABLE if entry.applies(case, difference)), None)


def unjustified(case: Case, differences: list[str]) -> list[str]:
    """Those that may not stay."""
    return [difference for difference in differences if reason(case, difference) is None]
