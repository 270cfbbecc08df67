"""Units that failed, and units that must be active."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Context, Finished, Sample
from agent.checks.systemd import Systemd, SystemdOptions, parse_units
from agent.paths import System
from tests.agent.checks.tree import NOW, said, tree, values
from tests.require import require, require_program, require_root

CONTEXT = Context(system=System(), now=NOW)

# Two named units, of which one is known by an alias, then the failed ones: as systemd 252 prints it.
OUTPUT = """\
Id=mariadb.service
Names=mariadb.service mysql.service
LoadState=loaded
ActiveState=active
SubState=running

Id=nginx.service
Names=nginx.service
LoadState=loaded
ActiveState=failed
SubState=failed

Id=nginx.service
Names=nginx.service
LoadState=loaded
ActiveState=failed
SubState=failed

Id=backup.service
Names=backup.service
LoadState=loaded
ActiveState=failed
SubState=failed
"""


def parsed(check: Systemd, output: str, *, truncated: bool = False) -> Sample:
    return check.parse(CONTEXT, Finished(0, output, "", truncated))


def unit(name: str, active: str, sub: str = "", load: str = "loaded") -> str:
    return f"Id={name}\nNames={name}\nLoadState={load}\nActiveState={active}\nSubState={sub}\n"


def test_failed_units_are_a_warning_and_named_ones_critical() -> None:
    """Each is counted once, and a unit is known by all of its names."""
    sample = parsed(Systemd(SystemdOptions(units=("mysql", "nginx.service"))), OUTPUT)
    assert said(sample) == [
        ("critical", "nginx.service is failed"),
        ("warning", "backup.service has failed"),
    ]
    assert values(sample) == {
        "systemd_unit_active mysql.service": 1,
        "systemd_unit_active nginx.service": 0,
        "systemd_units_failed": 2,
    }


def test_units_that_may_fail_are_ignored() -> None:
    """They are not counted either."""
    sample = parsed(Systemd(SystemdOptions(ignore=("back*", "nginx.service"))), OUTPUT)
    assert said(sample) == []
    assert values(sample) == {"systemd_units_failed": 0}
    assert sample.summary == "no unit has failed"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (unit("web.service", "active", "running"), []),
        (unit("web.service", "reloading", "reload"), []),
        (unit("web.service", "inactive", "dead"), [("critical", "web.service is inactive (dead)")]),
        (
            unit("web.service", "activating", "auto-restart"),
            [("warning", "web.service is activating (auto-restart)")],
        ),
        (unit("web.service", "inactive", "dead", "not-found"), [("critical", "there is no unit web.service")]),
        ("", [("critical", "there is no unit web.service")]),
    ],
)
def test_a_named_unit_must_be_active(block: str, expected: list[tuple[str, str]]) -> None:
    """On its way is a warning, anything else critical."""
    assert said(parsed(Systemd(SystemdOptions(units=("web",))), block)) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("web",), "active: web.service; no unit has failed"),
        (("web", "db"), "active: 2 named units; no unit has failed"),
    ],
)
def test_what_is_well_is_said_of_one_unit_by_its_name_and_of_more_by_their_number(
    names: tuple[str, ...], expected: str
) -> None:
    blocks = "\n".join(unit(f"{name}.service", "active", "running") for name in names)
    assert parsed(Systemd(SystemdOptions(units=names)), blocks).summary == expected


def test_the_command_names_units_as_themselves() -> None:
    """Types are added, and nothing that looks like an option or a wildcard can be configured as a unit."""
    argv = Systemd(SystemdOptions(units=("nginx", "data.mount", "a.b"))).command(CONTEXT).argv
    assert argv[argv.index("--") + 1 :] == ["*", "nginx.service", "data.mount", "a.b.service"]


def test_systemctl_that_fails_is_an_error() -> None:
    """With what it said."""
    with pytest.raises(CheckError, match="systemctl failed: Failed to connect to bus: No such file"):
        Systemd(SystemdOptions()).parse(CONTEXT, Finished(1, "", "Failed to connect to bus: No such file\n"))


def test_output_that_was_cut_off_is_not_taken_for_all() -> None:
    """The half of a block at its end is nothing, and the check says that it does not know."""
    sample = parsed(Systemd(SystemdOptions()), OUTPUT + "\nId=x.service\nActiveSt", truncated=True)
    assert ("unknown", "systemctl printed more than can be read") in said(sample)


def test_it_is_a_default_where_systemd_runs_the_host(tmp_path: Path) -> None:
    """Which is what sd_booted(3) looks at."""
    assert Systemd.default(tree(tmp_path, {})) is None
    assert isinstance(Systemd.default(tree(tmp_path, {"run/systemd/system/": ""})), SystemdOptions)


@given(st.text() | st.text(alphabet="Id=\nx. ", max_size=100))
def test_any_output_is_read(text: str) -> None:
    """What makes no sense is no unit."""
    assert all(unit["Id"] for unit in parse_units(text))
    parsed(Systemd(SystemdOptions(units=("x",))), text)


MANAGER = """
set -e
home=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
own=/sys/fs/cgroup/hostward-test-$1
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/user "$own"
echo $$ > "$own/cgroup.procs"
export XDG_RUNTIME_DIR=/run/user
"$2" --user --log-target=null &
manager=$!
for i in $(seq 100); do systemctl --user is-active --quiet basic.target && break; sleep 0.1; done
systemctl --user is-active basic.target >&2
systemd-run --quiet --user --unit=broken false
for i in $(seq 100); do systemctl --user is-failed --quiet broken && break; sleep 0.1; done
shift 2
"$@"
systemctl --user exit
wait $manager || true
echo $$ > "$home/cgroup.procs"
find "$own" -depth -type d -exec rmdir {} +
"""


@pytest.mark.root
def test_a_real_systemd_answers_the_question_that_is_asked() -> None:
    """Failed units by the wildcard, named ones whatever their state, and one that there is not."""
    require_root()
    systemctl = require_program("systemctl")
    unshare = require_program("unshare")
    manager = next((p for p in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if os.access(p, os.X_OK)), "")
    require(bool(manager), "systemd")
    check = Systemd(SystemdOptions(units=("basic.target", "nonsense")))
    argv = [str(systemctl), "--user", *check.command(CONTEXT).argv[1:]]
    done = subprocess.run(
        [
            unshare,
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            MANAGER,
            "sh",
            str(os.getpid()),
            manager,
            *argv,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    require(
        "active" in done.stderr.splitlines(), f"the right to run a systemd of its own ({done.stderr.strip()[-200:]})"
    )
    sample = check.parse(CONTEXT, Finished(done.returncode, done.stdout, done.stderr))
    assert said(sample) == [
        ("critical", "there is no unit nonsense.service"),
        ("warning", "broken.service has failed"),
    ]
    assert values(sample)["systemd_unit_active basic.target"] == 1
