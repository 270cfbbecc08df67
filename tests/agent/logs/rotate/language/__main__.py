"""Records anew, in cases.txt, what the real logrotate says: `python -m tests.agent.logs.rotate.language`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tests.agent.logs.rotate.language.cases import ARGUMENTS, FILE, HOME, condensed, dump, load
from tests.peers import logrotate

cases = load()
for case in cases:
    with tempfile.TemporaryDirectory() as name:
        case.prepare(Path(name))
        environment = {**os.environ, "HOME": HOME}
        command = [*logrotate(), *ARGUMENTS]
        done = subprocess.run(command, cwd=name, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        case.code, case.said = done.returncode, condensed(done.stderr, Path(name))
FILE.write_text(dump(cases))
