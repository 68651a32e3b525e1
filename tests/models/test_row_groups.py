"""Enformer and SPACE as accelerators run them, rows together, against one row at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tests.models.convolution_checkpoints import network, small_config, small_tensors
from tests.tolerance import Tolerance, relative_error

_MODELS = {"enformer": "enformer-official-rough", "space": "space"}
#: More than a group, and no multiple of one.
_ROWS = 11


@pytest.mark.parametrize("family", [pytest.param("enformer", marks=pytest.mark.sweep), "space"])
def test_rows_together_are_rows_alone(
    family: str, tmp_path: Path, tolerance: Tolerance, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = _MODELS[family]
    generator = np.random.default_rng(3)
    ids = generator.integers(0, 4, (_ROWS, 200), dtype=np.int32)
    mask = np.arange(200)[None] < generator.integers(1, 200, _ROWS)[:, None]
    config, tensors = small_config(model_id), small_tensors(model_id)
    alone = network(family, config, tensors, tmp_path / "alone")(ids, mask)

    def for_accelerators(*given: Any, default: Callable[..., Any], **forms: Any) -> Any:
        return default(*given)

    monkeypatch.setattr(jax.lax, "platform_dependent", for_accelerators)
    together = network(family, config, tensors, tmp_path / "together")(ids, mask)
    assert together.values.shape == alone.values.shape
    error = relative_error(together.values, np.asarray(alone.values))
    assert error <= tolerance("batch_invariance", "float32")
    np.testing.assert_array_equal(together.mask, alone.mask)
