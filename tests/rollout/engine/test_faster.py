"""Operations have the places that pyinfra itself gives them, only sooner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEPLOY = """\
from inner import more
places.append((ours(state), theirs(state)))
def deeper():
    return ours(state), theirs(state)
for _ in range(2):
    places.append(deeper())
places.append(more(lambda: (ours(state), theirs(state))))
"""
INNER = "def more(call):\n\n    return call()\n"
COMPARE = """\
import sys
from types import SimpleNamespace
import pyinfra
from rollout.engine.faster import order_from_stack as ours
from pyinfra.api.util import get_operation_order_from_stack as theirs

sys.path.append(".")
pyinfra.is_cli = True
places = []
for name in ("deploy.py", None):
    state = SimpleNamespace(current_deploy_filename=name, current_op_file_number=3)
    exec(compile(open("deploy.py").read(), "deploy.py", "exec"), dict(globals()))
print(all(ours == theirs for ours, theirs in places), len(places), places[3][0])
"""


def test_an_operation_has_the_same_place_in_its_deploy(tmp_path: Path) -> None:
    """By the lines that led to it, through other files too."""
    (tmp_path / "deploy.py").write_text(DEPLOY)
    (tmp_path / "inner.py").write_text(INNER)
    words = [sys.executable, "-W", "ignore", "-c", COMPARE]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True 8 [3, 7, 3, 7]"
