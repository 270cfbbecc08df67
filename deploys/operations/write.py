"""A small text file on a host, whole or not at all, that nobody else reads on its way.

What pyinfra uploads lies in a folder for all until it is copied. This goes through a command's standard input, into a
file beside its place, which is on the disk before it takes the place.
"""

from __future__ import annotations

from shlex import quote

from pyinfra.api.host import Host

from deploys.kit.notes import Outcome
from deploys.operations.run import run


def write(
    host: Host, path: str, text: str, *, mode: int = 0o644, owner: str = "root:root", outcome: Outcome = "left_alone"
) -> None:
    """Have `path` contain `text`, which gets the end of its last line where it has none; folders above are made.

    Raises StepError, with `outcome`, and the file is as it was; as `run` does when the connection is lost.
    """
    folder, _, name = path.rpartition("/")
    new = quote(f"{folder}/.{name}.hostward")
    if text and not text.endswith("\n"):
        text += "\n"
    script = (
        f"set -e; umask 022; mkdir -p {quote(folder)}; umask 077; "
        f"trap {quote(f'rm -f {new}')} EXIT; rm -f {new}; cat >{new}; "
        # A connection that is lost ends the input as its end does.
        f'test "$(wc -c <{new})" -eq {len(text.encode())} || {{ echo "it did not arrive whole" >&2; exit 1; }}; '
        f"chown {owner} {new}; chmod {mode:o} {new}; sync {new}; mv -fT {new} {quote(path)}; sync {quote(folder)}"
    )
    run(host, script, failing=f"{path} could not be written", outcome=outcome, input=text)
