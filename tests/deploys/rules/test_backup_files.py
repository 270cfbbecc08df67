"""Which files backup jobs need, and who may read them."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.rules.backup_files import AGENT, ROOTS_HALF, SecretFile, document, drop_ins, secret_files

VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
TABLES = st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3)


@settings(max_examples=25)
@given(TABLES, TABLES)
def test_what_is_written_is_what_was_given(
    jobs: dict[str, dict[str, object]], drills: dict[str, dict[str, object]]
) -> None:
    """For any tables."""
    written = tomllib.loads(document(jobs, drills))
    assert (written.get("backups", {}), written.get("drills", {})) == (jobs, drills)


JOBS: dict[str, dict[str, object]] = {
    "roots": {"password_file": "/a", "copies": [{"password_file": "credential:second"}], "privileged": {}},
    "own": {"password_file": "/b", "postgresql": {"password_file": "credential:pg"}},
    "both": {"password_file": "/c", "privileged": {}},
}
DRILLS = {"both": {"backup": "both"}}


def test_a_secret_is_for_who_runs_the_job() -> None:
    """Root alone for root's half, the agent's group where the agent runs a job or a drill, units for credentials."""
    files = secret_files(JOBS, DRILLS, dict.fromkeys(["/a", "/b", "/c", "credential:second", "credential:pg"]))
    credentials = "/etc/hostward/credentials"
    assert files == {
        "/a": SecretFile("/a", "root:root", 0o600),
        "/b": SecretFile("/b", "root:hostward", 0o640),
        "/c": SecretFile("/c", "root:hostward", 0o640),
        "credential:second": SecretFile(f"{credentials}/second", "root:root", 0o600),
        "credential:pg": SecretFile(f"{credentials}/pg", "root:root", 0o600),
    }
    units = drop_ins(JOBS, DRILLS, files)
    assert [line for line in units[AGENT].splitlines() if "=" in line] == [f"LoadCredential=pg:{credentials}/pg"]
    assert [line for line in units[ROOTS_HALF].splitlines() if "=" in line] == [
        f"LoadCredential=second:{credentials}/second"
    ]
    assert drop_ins(JOBS, DRILLS, {}) == {AGENT: "", ROOTS_HALF: ""}


@pytest.mark.parametrize(
    "name", ["/nobody", "relative", "/../etc/shadow", "credential:", "credential:../x", "credential:a b"]
)
def test_a_secret_that_cannot_be_placed_is_refused(name: str) -> None:
    """It belongs to no job, or its place is none."""
    jobs: dict[str, dict[str, object]] = {} if name == "/nobody" else {"job": {"password_file": name}}
    with pytest.raises(ValueError, match=r"no job has|is neither|is not the name"):
        secret_files(jobs, {}, {name: None})
