"""docs/collector.md, "The database": its commands work, one after the other, on a real PostgreSQL server."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from collector.store.place import place_of
from tests.agent.checks.daemons import postgres, postgres_program
from tests.collector.support import run

PASSWORD = "pg-secret"


def test_every_command_of_the_page_does_what_it_says(repository: Path, tmp_path: Path) -> None:
    """With a server and a folder of the test's own."""
    page = (repository / "docs/collector.md").read_text()
    section = page[page.index("## The database") : page.index("## Commands")]
    block = section[section.index("```sh") : section.rindex("```")]
    folder, secret = tmp_path / "home", tmp_path / "password"
    secret.touch(0o600)
    secret.write_text(PASSWORD)
    with postgres() as server:
        environment = {**os.environ, "PGHOST": str(server.folder), "PGPORT": str(server.port), "PGUSER": "postgres"}
        (createdb,) = re.findall(r"^sudo -u postgres (createdb .*)$", block, re.MULTILINE)
        assert "sudo -u postgres createuser --pwprompt hostward\n" in block  # which asks a terminal
        server.sql(f"CREATE ROLE hostward LOGIN PASSWORD '{PASSWORD}'")
        words = shlex.split(createdb)
        subprocess.run([postgres_program(words[0]), *words[1:]], env=environment, check=True)
        (init,) = re.findall(r"^hostward-collector (init .*)$", block, re.MULTILINE)

        def on_this_server(line: str) -> list[str]:
            line = line.replace("@127.0.0.1/", f"@127.0.0.1:{server.port}/")
            return shlex.split(line.replace("/etc/hostward/database.password", str(secret)))

        def ran(*said: str) -> str:
            done = run(*said, "--data-dir", str(folder))
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert "login: admin" in ran(*on_this_server(init))
        there = place_of(folder)
        copy = str(tmp_path / "home.db")
        for shown in ("database save home.db", "database load home.db", "database move"):
            assert shown in section
        ran("database", "save", copy)
        ran("database", "load", "--replace", copy)
        ran("database", "move")
        assert place_of(folder) == folder / "collector.db"
        server.sql("DROP DATABASE hostward")
        subprocess.run([postgres_program(words[0]), *words[1:]], env=environment, check=True)
        ran("database", "move", *on_this_server(init)[1:])
        assert place_of(folder) == there
        assert "admin" in ran("user", "list")
