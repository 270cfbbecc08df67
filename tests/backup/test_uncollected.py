"""Work without the collector of cycles."""

from __future__ import annotations

import gc

import pytest

from backup.errors import DamagedError
from backup.uncollected import uncollected


def test_collections_go_on_after_work_without_them() -> None:
    """Also when it fails, and not if they were off before."""
    with uncollected(), uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(DamagedError), uncollected():
        raise DamagedError("it failed")
    assert gc.isenabled()
