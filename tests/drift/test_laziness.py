"""Commands load what they use and no more: each heavy package costs every start its time and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys
from importlib import import_module
try:
    code = import_module(sys.argv[1]).main(sys.argv[2:])
except SystemExit as end:
    code = end.code
loaded = sorted({name.partition(".")[0] for name in sys.modules})
sys.stdout.flush()
print(code, *loaded, file=sys.stderr)
"""
SENDING = {"requests", "cryptography", "nacl", "zstandard", "sqlite3", "ssl", "http"}
HOME = {"sqlalchemy", "alembic", "starlette", "uvicorn", "uvloop", "jinja2", "argon2"}
ANY = {"msgspec", "psutil", "watchdog", "argparse", "asyncio", "json", "logging", "re", "subprocess", "typing"}


def loaded(*words: object) -> set[str]:
    """The top-level modules that a command has loaded when it ends well."""
    done = subprocess.run([sys.executable, "-c", PROBE, *map(str, words)], capture_output=True, text=True, timeout=60)
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize("module", ["agent.cli.main", "collector.cli", "rollout.cli"])
def test_the_version_takes_nothing_but_the_interpreter(module: str) -> None:
    """No third-party package, and none of the standard library's larger parts."""
    modules = loaded(module, "--version")
    assert "kit" in modules
    assert not modules & (SENDING | HOME | ANY)


@pytest.mark.parametrize("module", ["agent.cli.main", "collector.cli", "rollout.cli"])
def test_the_overview_of_commands_loads_no_command(module: str) -> None:
    """Nothing third-party."""
    assert not loaded(module, "--help") & (SENDING | HOME | {"msgspec", "psutil", "watchdog", "asyncio"})


def test_waves_are_run_without_what_only_their_processes_need() -> None:
    """The runner stays plain Python: what patches the standard library, and what speaks ssh, is in the others."""
    modules = loaded("rollout.cli", "run", "--help")
    assert "requests" in modules
    assert not modules & (HOME | {"pyinfra", "pyinfra_cli", "gevent", "paramiko", "deploys", "asyncio", "sqlite3"})


def test_the_overview_of_backups_loads_none_of_them() -> None:
    """Nor anything of repositories."""
    assert not loaded("agent.cli.main", "backup", "--help") & (
        SENDING | HOME | {"psutil", "watchdog", "asyncio", "nacl"}
    )


def test_a_repository_in_a_folder_takes_no_network(tmp_path: Path) -> None:
    """Neither HTTP nor ssh, and none of the agent's own state."""
    command = ["backup", "init", "--repo", tmp_path / "repository", "--insecure-no-password"]
    modules = loaded("agent.cli.main", *command)
    assert "cryptography" in modules
    assert not modules & (
        HOME | {"requests", "urllib3", "minio", "paramiko", "mfusepy", "sqlite3", "psutil", "asyncio"}
    )


def test_a_check_of_the_configuration_neither_sends_nor_watches_nor_stores(tmp_path: Path) -> None:
    """It needs the options of all checks, and nothing of what they measure with or of what moves reports."""
    (tmp_path / "agent.toml").write_text('[checks.web]\ntype = "http"\nurl = "https://localhost/"\n')
    modules = loaded("agent.cli.main", "config", "check", "--config", tmp_path / "agent.toml")
    assert "msgspec" in modules
    assert not modules & (SENDING | HOME | {"psutil", "watchdog", "asyncio"})


def test_the_daemon_is_ready_to_rest_without_what_only_jobs_need() -> None:
    """`requests` (6 MB) and `cryptography` (8 MB) belong to jobs, TLS and signatures to hosts that report home."""
    modules = loaded("agent.cli.main", "run", "--help")
    assert "sqlite3" in modules
    assert not modules & (HOME | {"requests", "cryptography", "nacl", "ssl", "asyncio"})


def test_what_sends_reports_is_light() -> None:
    """Signatures are libsodium's (1 MB): `cryptography` (8 MB) stays out of a daemon that reports home."""
    probe = "import sys, agent.home.sender; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    modules = {name.partition(".")[0] for name in done.stdout.split()}
    assert "nacl" in modules
    assert not modules & (HOME | {"requests", "cryptography", "asyncio"})


@pytest.mark.parametrize("command", ["run", "check", "restore"])
def test_what_works_with_repositories_is_loaded_while_a_password_is_tried(command: str) -> None:
    """Not before, when everybody waits for it: OpenSSL and zstd alone take a third of the time until then."""
    modules = loaded("agent.cli.main", "backup", command, "--help")
    assert "nacl" in modules
    assert not modules & {"cryptography", "zstandard", "multiprocessing", "logging"}
