"""The bootstrap over tasks: its mean, its variance by formula, its coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from statsmodels.stats.weightstats import DescrStatsW

from geneb_jax.analysis import (
    aggregate,
    bootstrap,
    compare_models,
    compare_predictions,
    published_cube,
    ranking,
    row_bootstrap,
    row_bootstrap_mcc,
    task_bootstrap,
)
from geneb_jax_probes.metrics import mcc_of_counts
from tests.analysis.row_populations import RowPopulation
from tests.tolerance import Tolerance

GENEB_SIZES = (30, 22, 8, 8, 7, 6, 5, 5, 3, 2, 2, 1, 1)
#: Spread within categories of real paired differences (published scores, root mean square over all
#: pairs of models); the two categories of one task have none, and take a middling one.
REAL_SPREAD = (
    0.052,
    0.077,
    0.076,
    0.051,
    0.083,
    0.062,
    0.092,
    0.049,
    0.142,
    0.063,
    0.154,
    0.09,
    0.09,
)


def categories(sizes) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 4),
    st.integers(0, 10**6),
)
def test_weights_keep_the_macro_mean_and_follow_a_shift(tolerance, sizes, seed) -> None:
    category = categories(sizes)
    np.random.default_rng(seed).shuffle(category)  # tasks of a category need not be neighbours
    found = task_bootstrap(category, draws=50, seed=seed)
    macro = np.mean([category == k for k in range(len(sizes))], axis=1)
    expected = np.zeros(len(category))
    for k in range(len(sizes)):
        expected[category == k] = 1 / (len(sizes) * (category == k).sum())
    assert np.allclose(found.exact, expected, rtol=tolerance("statistic", "float64"), atol=0)
    assert macro.shape == (len(sizes),)
    # Adding a constant to all scores shifts every draw by it.
    assert np.allclose(
        found.weights.sum(axis=1), 1.0, rtol=0, atol=tolerance("statistic", "float64")
    )


def test_draws_centre_on_the_estimate_with_the_variance_of_the_design(tolerance: Tolerance) -> None:
    category = categories(GENEB_SIZES)
    scores = np.random.default_rng(3).normal(size=100)
    found = task_bootstrap(category, draws=40000, seed=1)
    draws = found.draws(scores)
    sizes = np.array(GENEB_SIZES)
    own = np.array(
        [scores[category == k].var(ddof=1) if n > 1 else np.nan for k, n in enumerate(sizes)]
    )
    borrowed = np.nanmean(own)
    mixed = np.where(sizes > 1, (1 - 1 / sizes) * np.nan_to_num(own), 0) + borrowed / sizes
    variance = (mixed / sizes).sum() / len(sizes) ** 2
    error = np.sqrt(variance / len(draws))
    assert abs(draws.mean() - found.exact @ scores) < 5 * error
    assert abs(draws.var() / variance - 1) < tolerance("bootstrap_draws", "variance")


def test_the_same_seed_gives_the_same_draws_and_pairs_the_models(tolerance: Tolerance) -> None:
    cube = published_cube()
    one, two, other = (task_bootstrap(cube.category_of_task, seed=s) for s in (0, 0, 1))
    assert np.array_equal(one.weights, two.weights)
    assert not np.array_equal(one.weights, other.weights)
    scores = cube.in_regime("full")
    apart = one.draws(scores[0]) - one.draws(scores[1])
    assert np.allclose(
        apart, one.draws(scores[0] - scores[1]), rtol=0, atol=tolerance("statistic", "float64")
    )
    assert one.draws(scores).shape == (2000, 40)


def test_too_little_to_resample(tolerance: Tolerance) -> None:
    for tasks in range(5):
        assert task_bootstrap(np.zeros(tasks, dtype=np.int64)) is None
    assert task_bootstrap(np.zeros(5, dtype=np.int64)) is not None
    lone = task_bootstrap(np.arange(13))  # a task a category: the categories are ignored
    assert lone.exact == pytest.approx(1 / 13, rel=tolerance("statistic", "float64"))
    assert lone.degrees == 12


def test_one_large_category_agrees_with_the_t_interval_of_statsmodels(tolerance) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        sample = rng.normal(0.3, 0.2, size=60)
        found = task_bootstrap(np.zeros(60, dtype=np.int64), draws=20000).interval(sample)
        low, high = DescrStatsW(sample).tconfint_mean(alpha=0.05)
        width = high - low
        assert abs(found.low - low) < tolerance("bootstrap_interval", "float64") * width
        assert abs(found.high - high) < tolerance("bootstrap_interval", "float64") * width


def draw(law: str, sizes, repeats: int, rng: np.random.Generator) -> np.ndarray:
    """Task differences around a mean of zero: float64 ``[repeat, task]``."""
    category = categories(sizes)
    shape = (repeats, len(category))
    if law == "normal":
        return rng.standard_normal(shape)
    if law == "uneven":  # a spread of its own for each category, unknown to the method
        return (
            rng.standard_normal(shape)
            * np.exp(0.5 * rng.standard_normal((repeats, len(sizes))))[:, category]
        )
    if law == "real":
        return rng.standard_normal(shape) * np.array(REAL_SPREAD)[category]
    if law == "skewed":
        return rng.exponential(size=shape) - 1
    return rng.standard_t(5, size=shape)


def coverage(law: str, sizes, repeats: int, seed: int) -> float:
    found = task_bootstrap(categories(sizes))
    low, high = found.bounds(draw(law, sizes, repeats, np.random.default_rng(seed)))
    return float(((low <= 0) & (high >= 0)).mean())


@pytest.mark.parametrize("law", ["normal", "uneven", "skewed", "heavy", "real"])
def test_coverage_of_95_percent_intervals(law) -> None:
    # 1500 repeats: the simulation's own standard error is 0.6 percentage points.
    assert 0.93 - 0.012 <= coverage(law, GENEB_SIZES, 1500, 11) <= 0.97 + 0.012


@pytest.mark.sweep
@pytest.mark.parametrize("law", ["normal", "uneven", "skewed", "heavy", "real"])
def test_coverage_of_95_percent_intervals_at_length(law) -> None:
    mean = np.mean([coverage(law, GENEB_SIZES, 5000, seed) for seed in range(8)])
    assert 0.93 <= mean <= 0.97


@pytest.mark.sweep
@pytest.mark.parametrize(
    "sizes", [(9, 8, 2, 4, 1, 3, 3, 2, 1), (1,) * 13, (5, 5, 5), (30,), (5,), (2, 2, 1)]
)
def test_coverage_on_other_suites_at_length(sizes) -> None:
    mean = np.mean([coverage("normal", sizes, 5000, seed) for seed in range(8)])
    assert 0.93 <= mean <= 0.97


def test_a_plain_stratified_bootstrap_would_not_do() -> None:
    """Why the module is not three lines: without its corrections coverage is near 75%."""
    rng = np.random.default_rng(2)
    category = categories(GENEB_SIZES)
    weights = np.zeros((1000, 100))
    for k, size in enumerate(GENEB_SIZES):
        counts = rng.multinomial(size, np.full(size, 1 / size), size=1000)
        weights[:, category == k] = counts / size / len(GENEB_SIZES)
    low, high = np.quantile(
        draw("normal", GENEB_SIZES, 1000, rng) @ weights.T, [0.025, 0.975], axis=1
    )
    assert ((low <= 0) & (high >= 0)).mean() < 0.85


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(2, 5), st.integers(1, 3), st.integers(0, 10**6))
def test_row_draws_are_scikit_learns_mcc_of_resampled_rows(
    tolerance, rows, classes, models, seed
) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    guesses = rng.integers(0, classes, (models, rows))
    y[:2] = (0, 1)  # scikit-learn warns of a single class
    exact = row_bootstrap_mcc(y, guesses, draws=0)
    assert exact.shape == (1, models)
    for model in range(models):
        assert exact[0, model] == pytest.approx(
            matthews_corrcoef(y, guesses[model]), abs=tolerance("statistic", "float64")
        )


def test_mcc_from_counts_is_scikit_learns(tolerance) -> None:
    rng = np.random.default_rng(3)
    tables = rng.integers(0, 60, (60, 4, 4))
    tables[:10, 1:] = 0  # one class in the truth
    tables[10:20, :, 1:] = 0  # one class guessed
    hits = np.diagonal(tables, axis1=1, axis2=2).sum(axis=1)
    ours = mcc_of_counts(*(part.astype(float) for part in (hits, tables.sum(2), tables.sum(1))))
    true, guess = np.divmod(np.arange(16), 4)
    for table, value in zip(tables, ours, strict=True):
        theirs = matthews_corrcoef(true.repeat(table.ravel()), guess.repeat(table.ravel()))
        assert value == pytest.approx(theirs, abs=tolerance("metrics", "float64"))


@pytest.mark.parametrize(("classes", "columns"), [(2, 6), (20, 3), (20, 16), (3, 40)])
def test_rows_as_numbers_are_the_rows(classes, columns) -> None:
    table = np.random.default_rng(0).integers(0, classes, (200, columns))
    table = np.concatenate([table, table[:70], table[:20]])
    kinds, counts = np.unique(table, axis=0, return_counts=True)
    found = bootstrap._distinct_rows(table, classes)
    assert np.array_equal(found[0], kinds) and np.array_equal(found[1], counts)


def test_row_draws_spread_like_an_index_bootstrap(tolerance: Tolerance) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    a = np.where(rng.random(300) < 0.7, y, rng.integers(0, 3, 300))
    b = np.where(rng.random(300) < 0.6, y, rng.integers(0, 3, 300))
    ours = row_bootstrap_mcc(y, np.stack([a, b]), draws=4000)
    plain = np.array(
        [
            [matthews_corrcoef(y[i], a[i]), matthews_corrcoef(y[i], b[i])]
            for i in rng.integers(0, 300, (300, 300))
        ]
    )
    assert np.allclose(
        ours.mean(axis=0), plain.mean(axis=0), rtol=0, atol=tolerance("bootstrap_draws", "mean")
    )
    assert np.allclose(
        ours.std(axis=0), plain.std(axis=0), atol=0, rtol=tolerance("bootstrap_draws", "sd")
    )
    assert (ours[:, 0] - ours[:, 1]).std() == pytest.approx(
        (plain[:, 0] - plain[:, 1]).std(), rel=tolerance("bootstrap_draws", "sd_of_difference")
    )


def test_comparing_predictions_by_any_labels(tolerance: Tolerance) -> None:
    rng = np.random.default_rng(4)
    y = rng.choice(["acceptor", "donor", "none"], 500)
    good = np.where(rng.random(500) < 0.9, y, "none")
    poor = np.where(rng.random(500) < 0.5, y, "none")
    found = compare_predictions(y, good, poor)
    assert found.estimate == pytest.approx(
        matthews_corrcoef(y, good) - matthews_corrcoef(y, poor),
        abs=tolerance("statistic", "float64"),
    )
    assert found.low < found.estimate < found.high and found.excludes_zero
    same = compare_predictions(y, good, good)
    assert (same.low, same.estimate, same.high) == (0.0, 0.0, 0.0)


def row_coverage(repeats: int, seed: int, rows: int = 400) -> float:
    """How often the interval over test rows holds the population's difference of MCC."""
    rng = np.random.default_rng(seed)
    population = RowPopulation([0.40, 0.06, 0.05, 0.04, 0.04, 0.05, 0.10, 0.26])
    truth = population.mcc(1) - population.mcc(2)
    held = 0
    for repeat in range(repeats):
        found = compare_predictions(*population.draw(rows, rng), seed=repeat)
        held += found.low <= truth <= found.high
    return held / repeats


def test_coverage_of_intervals_over_test_rows() -> None:
    # 500 repeats: the simulation's own standard error is one percentage point.
    assert 0.93 - 0.02 <= row_coverage(500, 3) <= 0.97 + 0.02


@pytest.mark.sweep
def test_coverage_of_intervals_over_test_rows_at_length() -> None:
    assert 0.93 <= row_coverage(10_000, 5) <= 0.97


#: Laws of few tasks; "mcc" is a skewed score between -1 and 1, such as good models have.
FEW_LAWS = ("normal", "uneven", "heavy", "mcc")


def small_suite(rng: np.random.Generator) -> np.ndarray:
    """Two to twelve tasks in any number of categories: their categories."""
    tasks = int(rng.integers(2, 13))
    count = int(rng.integers(1, tasks + 1))
    rest = rng.integers(0, count, tasks - count)
    return np.sort(np.concatenate([np.arange(count), rest]))


def simulated_scores(law: str, category: np.ndarray, models: int, rng) -> np.ndarray:
    """Scores of an MCC's range whose mean is 0.5 in every category."""
    sizes = np.bincount(category)
    if law == "mcc":
        return 2 * rng.beta(4.5, 1.5, (models, len(category))) - 1
    return 0.5 + 0.1 * draw(law, sizes, models, rng)


def hold_in_small_suites(suites: int, make_cube, *, models: int = 6) -> float:
    """Check what must hold in every suite; the share of intervals that hold the truth, 0.5."""
    rng = np.random.default_rng(7)
    covered: list[bool] = []
    for number in range(suites):
        category = small_suite(rng)
        law = FEW_LAWS[number % len(FEW_LAWS)]
        scores = np.clip(simulated_scores(law, category, models, rng), -1, 1)
        cube = make_cube(scores, np.bincount(category))
        found = ranking(cube, "full")
        if len(category) < 5:
            assert not found.intervals and not found.groups and not found.ranges
            continue
        for row, (low, high) in found.intervals.items():
            macro = float(aggregate(cube).macro[row, 0])
            assert -1.0 <= low <= macro <= high <= 1.0
            covered.append(low <= 0.5 <= high)
        for row in found.order:
            span = found.ranges[row]
            for other in found.order:
                if found.groups[other] == found.groups[row]:
                    assert span.low <= found.ranks[other] <= span.high
        one, two = rng.choice(models, 2, replace=False)
        pair = compare_models(cube, f"model-{one}", f"model-{two}", "full")
        assert -2.0 <= pair.interval.low <= pair.interval.high <= 2.0
        covered.append(pair.interval.low <= 0.0 <= pair.interval.high)
        told = pair.interval.excludes_zero
        assert not (told and found.groups[int(one)] == found.groups[int(two)])
    return float(np.mean(covered))


def test_small_suites_keep_their_promises(make_cube) -> None:
    # About 150 intervals: the simulation's own standard error is 1.6 percentage points.
    assert hold_in_small_suites(30, make_cube) >= 0.93 - 0.04


@pytest.mark.sweep
def test_five_hundred_small_suites_keep_their_promises(make_cube) -> None:
    assert hold_in_small_suites(500, make_cube) >= 0.93


def test_an_interval_cannot_leave_the_range(make_cube) -> None:
    scores = np.array([[0.99, 0.98, 1.0, 0.2, 0.99], [1.0, 1.0, 1.0, 1.0, 1.0]])
    found = ranking(make_cube(scores, [5]), "full")
    assert found.intervals[0][1] == 1.0
    assert found.intervals[1] == (1.0, 1.0)
    plain = task_bootstrap(np.zeros(5, dtype=np.int64)).bounds(scores)
    assert plain[1][0] > 1.0  # without the range it would


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
def test_row_draws_of_every_metric_are_scikit_learns(metric, tolerance: Tolerance) -> None:
    theirs = {
        "accuracy": accuracy_score,
        "macro_f1": lambda y, p: f1_score(y, p, average="macro"),
        "mcc": matthews_corrcoef,
    }[metric]
    rng = np.random.default_rng(8)
    for classes in (2, 3, 5):
        y, p = rng.integers(0, classes, 40), rng.integers(0, classes + 1, (3, 40))
        found = row_bootstrap(y, p, metric=metric, draws=0)[0]
        expected = [theirs(y, one) for one in p]
        assert np.allclose(found, expected, rtol=0, atol=tolerance("metrics", "float64"))
        drawn = row_bootstrap(y, p, metric=metric, draws=200)
        assert drawn.shape == (200, 3) and np.isfinite(drawn).all()
