"""Ours does what logrotate 3.22 does: in cases that once differed, and in random ones.

`make logrotate-differences` runs many more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.agent.logs.rotate.differential.case import CASES, Case, dump, load
from tests.agent.logs.rotate.differential.chance import drawn
from tests.agent.logs.rotate.differential.justified import unjustified
from tests.agent.logs.rotate.differential.programs import runner
from tests.agent.logs.rotate.differential.twins import Twins
from tests.require import require

pytestmark = pytest.mark.root
FILES = sorted(CASES.glob("*.toml"))


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    """The real one and ours."""
    require(os.geteuid() == 0, "root")
    with runner() as own:
        yield Twins(own.real(), own.ours())


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_case_does_not_differ(path: Path, twins: Twins) -> None:
    """Each file tells what it holds."""
    case = load(path)
    assert not unjustified(case, twins.differences(case))


# The same ones each time, and not made small: `make logrotate-differences` draws others, and does it faster.
@given(st.builds(drawn, st.randoms(use_true_random=True)))
@settings(max_examples=100, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_random_cases_do_not_differ(twins: Twins, case: Case) -> None:
    """Configurations with folders, and runs over days."""
    differences = unjustified(case, twins.differences(case))
    assert not differences, "\n".join([*differences, dump(case)])


@given(st.builds(drawn, st.randoms(use_true_random=True)))
@settings(max_examples=20)
def test_a_case_is_kept_as_it_is(tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """What is dumped is loaded again."""
    path = tmp_path_factory.mktemp("case") / "case.toml"
    path.write_text(dump(case))
    assert load(path) == case
