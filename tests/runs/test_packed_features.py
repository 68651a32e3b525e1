"""On a GPU the tasks of a model share one matrix of its distinct rows; its scores are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geneb_jax.runs import probe_stage, run
from geneb_jax.runs.units import ProbeSettings
from geneb_jax.runs.work import GROUP_BYTES, PACKED_GROUP_BYTES
from geneb_jax_probes import FeatureRows, ProbeTask


def test_tasks_name_rows_of_one_matrix(
    suite_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"suite": suite_folder, "store": tmp_path / "store", "regime": ["full"]}
    alone = run("kmer-2", out=tmp_path / "alone", **options)
    reads: list[np.ndarray] = []
    problems: list[ProbeTask] = []
    read, fit = probe_stage.read_or_embed, probe_stage.fit_problems

    def watched_read(*arguments: object, **options: object) -> np.ndarray:
        reads.append(read(*arguments, **options))  # type: ignore[arg-type]
        return reads[-1]

    def watched_fit(given: list[ProbeTask], *arguments: object, **options: object) -> object:
        problems.extend(given)
        return fit(given, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(probe_stage, "read_or_embed", watched_read)
    monkeypatch.setattr(probe_stage, "fit_problems", watched_fit)
    monkeypatch.setattr(ProbeSettings, "packs", lambda self, platform: True)
    shared = run("kmer-2", out=tmp_path / "shared", **options)
    assert shared.rows == alone.rows
    (matrix,) = reads
    features = [part for one in problems for part in (one.X_train, one.X_test)]
    assert len(problems) == 3
    assert all(isinstance(part, FeatureRows) and part.matrix is matrix for part in features)
    named = np.concatenate([part.rows for part in features])  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.unique(named), np.arange(len(matrix)))


@pytest.mark.parametrize(
    ("solver", "platform", "packs"),
    [
        ("reference", "gpu", True),
        ("reference", "cpu", False),
        ("reference", "tpu", False),
        ("reference32", "gpu", False),
        ("exact", "gpu", True),
        ("exact", "cpu", False),
    ],
)
def test_who_shares_one(solver: str, platform: str, packs: bool) -> None:
    settings = ProbeSettings("logistic", solver, (), (), (1.0,), 1, 1e-4, "float64", "")
    assert settings.packs(platform) is packs
    assert PACKED_GROUP_BYTES > GROUP_BYTES
