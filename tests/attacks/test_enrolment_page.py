"""The commands of docs/enrolment.md, one after the other, between a real agent's command and a real home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.collector import support
from tests.require import require_program

AGENT = "import sys; from agent.cli.main import main; sys.exit(main())"
HOME = "import sys; from collector.cli import main; sys.exit(main())"


def commands(page: str) -> list[str]:
    """The lines of its shell blocks."""
    return [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]


def test_the_commands_of_the_page_work_in_its_order(repository: Path, data_folder: Path, tmp_path: Path) -> None:
    """Enrolled as web1, a stranger revoked, web1 revoked and its key removed; another name in the certificate."""
    require_program("openssl")
    state = tmp_path / "state"
    programs = tmp_path / "bin"
    programs.mkdir()
    with support.serving(data_folder) as real:
        for name, code, option in (
            ("hostward", AGENT, f"--state-dir {state}"),
            ("hostward-collector", HOME, f"--data-dir {data_folder}"),
        ):
            program = programs / name
            program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\" {option}\n")
            program.chmod(0o755)
        (tmp_path / "agent.toml").write_text('[agent]\nname = "web1"\n')
        shutil.copy(data_folder / "ca.pem", tmp_path / "ca.pem")
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOSTWARD_CONFIG": str(tmp_path / "agent.toml"),
            "PYTHONPATH": str(repository),
        }
        with real.client() as client:
            assert support.Host(client, time.time).enroll(real.made("token", "create"), "stranger").is_success
        said = {}
        for line in commands((repository / "docs" / "enrolment.md").read_text()):
            here = line.replace("https://home.example.net:8443", real.url).replace("/var/lib/hostward", str(state))
            done = subprocess.run(["sh", "-c", here], cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, (line, done.stderr)
            said[line.split(" --")[0]] = done.stdout
        assert "watch.example.org" in said["hostward-collector certificate issue"]
        assert "stranger" in said["hostward-collector host list"]
        assert "web1" in said["hostward-collector host list"]
        assert real.made("host", "list", "--json") == "[]"
        assert not (state / "identity.key").exists()
