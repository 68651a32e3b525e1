"""Strict settings for every test: two host devices, no promotion, one table of tolerances."""

from __future__ import annotations

import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

import tests.annotations  # noqa: F401  # the option --jaxtyping-packages names it

if TYPE_CHECKING:
    from tests.tolerance import Tolerance

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
).strip()
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Workers and the processes that tests start share what one of them has compiled.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="compiled-"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

# How long an example takes says how busy the machine is. The default suite draws the same examples
# every time, so that a change is judged by what it changed; the sweep draws new ones.
_AT_ANY_SPEED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("suite", _AT_ANY_SPEED, derandomize=True, database=None)
settings.register_profile("sweep", _AT_ANY_SPEED)

_HERE = Path(__file__).resolve().parent
_TOLERANCES = tomllib.loads((_HERE / "tolerances.toml").read_text(encoding="utf-8"))


def pytest_configure(config: pytest.Config) -> None:
    """Choose how Hypothesis draws, by what is asked to run."""
    settings.load_profile("sweep" if config.option.markexpr == "sweep" else "suite")


@pytest.fixture(scope="session")
def tolerance() -> Tolerance:
    """Look up (function, dtype) in tests/tolerances.toml; tests hold no literals."""

    def look_up(function: str, dtype: str) -> float:
        return float(_TOLERANCES[function][dtype])

    return look_up


@pytest.fixture
def unchecked_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are comments, as in a user's run: what we ourselves refuse is under test."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache folder."""
    monkeypatch.setenv("GENEB_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def real_tasks() -> Path:
    """Real GENEB task files: $GENEB_JAX_TASKS, or shared/data/tasks beside the checkout."""
    named = os.environ.get("GENEB_JAX_TASKS")
    folder = Path(named) if named else _HERE.parent.parent / "shared" / "data" / "tasks"
    if not folder.is_dir():
        pytest.skip("no real task files here: set GENEB_JAX_TASKS to a folder of <task_id>.csv.gz")
    return folder
