"""What `make lint` makes of the answer of the vulnerability service."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "far", "skip_reason": "Dependency not found on PyPI and could not be audited: far (3)"}


@pytest.fixture
def audit(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a stamp of its own."""
    spec = importlib.util.spec_from_file_location("audit_of_requirements", repository / "requirements" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STAMP", tmp_path / "stamp")
    return module


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"dependencies": [GOOD]}, 0, ""),
        ({"dependencies": [GOOD, BAD]}, 1, "bad 2: CVE-1, fixed in 2.1"),
        ({"dependencies": [UNKNOWN, BAD]}, 1, "CVE-1"),
        ({"dependencies": [GOOD, UNKNOWN]}, 0, "NOT AUDITED"),
        ({"error": "no answer"}, 0, "NOT AUDITED"),
    ],
)
def test_a_finding_fails_and_silence_is_told(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: dict[str, object],
    code: int,
    said: str,
) -> None:
    """Only what was audited as a whole is not asked again today."""
    asked = []
    monkeypatch.setattr(audit, "ask", lambda locks: asked.append(list(locks)) or answer)
    assert audit.main() == code
    assert said in capsys.readouterr().err
    assert audit.main() == code
    assert len(asked) == (1 if (code, said) == (0, "") else 2)
