"""A fit says the precision that it was computed in, which need not be the one it was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geneb_jax_probes import ProbeTask, fit_logistic, fit_tasks, lanes, solve


@pytest.mark.fault("F55")
def test_a_lane_without_float64_says_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((80, 6)).astype(np.float32)
    y = (X[:, 0] + 0.5 * generator.standard_normal(80) > 0).astype(int)
    wide = fit_logistic(X, y, solver="reference")
    assert wide.dtype == "float64" and wide.coef.dtype == np.float64

    def on_tpu() -> list[lanes.Lane]:
        return [replace(lane, platform="tpu") for lane in whole()[:1]]

    whole = lanes.lanes
    monkeypatch.setattr(lanes, "lanes", on_tpu)
    monkeypatch.setattr(solve, "lanes", on_tpu)
    narrow = fit_logistic(X, y, solver="reference")
    assert narrow.dtype == "float32" and narrow.coef.dtype == np.float32
    (scored,) = fit_tasks([ProbeTask(X, y, X, y)], dtype="float64")
    assert scored.dtype == "float32"
