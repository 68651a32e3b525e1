"""Real tasks through the whole run, against scikit-learn's recorded scores of the same features."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.results import ScoreRow, read_scores
from geneb_jax.runs import run

#: The three smallest. Their sequences are short, so more of their rows lie on the boundary than of
#: most tasks: the means are a promise over all 33.
_FEW = ("iPro-WAEL_Promoter_B_amyloliquefaciens", "deep4mc_E.coli_4mC", "iDNA_ABF_5mC")


@pytest.fixture(scope="module")
def recorded(real_tasks: Path) -> list[dict[str, str]]:
    """A row a fit: task, regime, seed, n_iter and scores of scikit-learn 1.9.1 in float64."""
    path = real_tasks.parent / "kmer4_reference.csv"
    if not path.is_file():
        pytest.skip("no kmer4_reference.csv beside the real task files")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "tasks",
    [
        pytest.param(_FEW, id="few"),
        pytest.param((), id="all", marks=[pytest.mark.sweep, pytest.mark.timeout(900)]),
    ],
)
@pytest.mark.fault("F57")
def test_scores_and_steps_equal_scikit_learns(
    tasks: tuple[str, ...],
    recorded: list[dict[str, str]],
    real_tasks: Path,
    tmp_path: Path,
    tolerance: Callable[[str, str], float],
) -> None:
    outcome = run(
        "kmer-4", data_dir=real_tasks, tasks=tasks, out=tmp_path / "out", store=tmp_path / "store"
    )
    assert outcome.complete
    ours = {(row.task_id, row.regime, row.seed): row for row in read_scores(outcome.out)}
    wanted = [fit for fit in recorded if not tasks or fit["task_id"] in tasks]
    # The full regime is one fit, recorded once.
    pairs = [(ours[fit["task_id"], fit["regime"], int(fit["seed"])], fit) for fit in wanted]
    assert len(pairs) == 11 * len({row.task_id for row, _ in pairs}) > 0
    different = [row.n_iter != int(fit["n_iter"]) for row, fit in pairs]
    assert np.mean(different) <= tolerance("kmer4_reference_steps", "share")
    for name, regimes in (("full", ("full",)), ("few_shot", ("10shot", "1shot"))):
        gaps = _cell_gaps([pair for pair in pairs if pair[0].regime in regimes])
        assert gaps.max() <= tolerance(f"kmer4_reference_{name}", "max")
        assert tasks or gaps.mean() <= tolerance(f"kmer4_reference_{name}", "mean")


def _cell_gaps(pairs: list[tuple[ScoreRow, dict[str, str]]]) -> np.ndarray:
    """Absolute difference of the mean MCC over seeds of each (task, regime)."""
    cells: dict[tuple[str, str], list[float]] = {}
    for row, fit in pairs:
        assert row.mcc is not None
        cells.setdefault((row.task_id, row.regime), []).append(row.mcc - float(fit["mcc"]))
    return np.abs([np.mean(differences) for differences in cells.values()])
