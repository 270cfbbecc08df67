"""The exit codes that users and scripts rely on."""

from __future__ import annotations

import pytest

from kit.errors import ConfigurationError, HostwardError, UsageError


@pytest.mark.parametrize(("error", "code"), [(HostwardError, 1), (UsageError, 2), (ConfigurationError, 2)])
def test_exit_codes(error: type[HostwardError], code: int) -> None:
    """A class of error has its exit code, its message is the sentence that is shown, and one class catches all."""
    assert error.exit_code == code
    assert str(error("the disk is full")) == "the disk is full"
    assert issubclass(error, HostwardError)
