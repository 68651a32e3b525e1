"""F38, F52, F70, F72 to F76: whatever the bytes, every reader reads them or says why not."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import SLOWEST_SECONDS, slug
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
#: Cost seconds to set up (networks, torch) and are damaged by default in tests/models.
_SET_UP_ELSEWHERE = {"config.json", "torch file"}
_BY_DEFAULT = [name for name in TARGETS if name not in _SET_UP_ELSEWHERE]


@pytest.mark.parametrize("name", _BY_DEFAULT)
@pytest.mark.fault("F38", "F52", "F70", "F73", "F74", "F75", "F76")
def test_what_was_found_and_a_little_more(name: str, tmp_path: Path) -> None:
    target, whole, folder = TARGETS[name], tmp_path / "seeds", tmp_path / "read"
    whole.mkdir()
    folder.mkdir()
    seeds = target.seeds(whole)
    assert "read" in [target.outcome(folder, content) for content in seeds]
    for found in sorted((CORPUS / slug(name)).glob("*")):
        assert target.outcome(folder, found.read_bytes()), found

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32), st.integers(0, len(seeds) - 1), st.binary(max_size=60))
    def feed(seed: int, which: int, noise: bytes) -> None:
        content = target.mutate(np.random.default_rng(seed), seeds[which])
        for each in (content, noise):
            started = time.process_time()
            target.outcome(folder, each)
            assert time.process_time() - started < SLOWEST_SECONDS

    feed()


def test_every_finding_belongs_to_a_target() -> None:
    slugs = {slug(name) for name in TARGETS}
    assert {folder.name for folder in CORPUS.iterdir()} <= slugs
    assert all(path.stat().st_size < 20_000 for path in CORPUS.rglob("*") if path.is_file())
