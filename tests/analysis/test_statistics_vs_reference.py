"""Our statistics against scipy, statsmodels, scikit-learn and plain loops, on random data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import matthews_corrcoef
from statsmodels.stats.libqsturng import qsturng

from geneb_jax.analysis import (
    aggregate,
    category_means,
    chance_bound,
    compare_models,
    critical_difference,
    end_bands,
    few_shot_degradation,
    label_groups,
    leakage,
    leaked_rows,
    leave_one_category_out,
    pareto_frontier,
    rank_ranges,
    retention,
    scaling,
    smaller_beats_larger,
    spearman,
    specialisation,
    task_spread,
    task_winners,
    win_counts,
)
from geneb_jax.analysis.aggregation import mean_of

SIZES = (4, 2, 1)


@st.composite
def score_tables(draw, models=(3, 8), regimes=1):
    """Scores with ties: MCC to two decimals, [model, regime, task] for the sizes above."""
    count = draw(st.integers(*models))
    seed = draw(st.integers(0, 10**6))
    values = np.random.default_rng(seed).integers(-20, 95, (count, regimes, sum(SIZES))) / 100
    return values


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_the_bits_of_a_mean_follow_from_its_own_values(tolerance, seed, models) -> None:
    rng = np.random.default_rng(seed)
    category = np.sort(np.concatenate([np.arange(5), rng.integers(0, 5, 95)]))
    scores = rng.uniform(-1, 1, (models, 3, 100))
    together = category_means(scores, category), mean_of(scores)
    for m in range(models):
        for r in range(3):
            alone = category_means(scores[m, r], category), mean_of(scores[m, r])
            assert np.array_equal(together[0][m, r], alone[0]) and together[1][m, r] == alone[1]
            assert alone[1] == pytest.approx(
                np.mean(scores[m, r]), abs=tolerance("statistic", "float64")
            )
    # Neither the order in memory nor who stands beside it matters.
    turned = np.asfortranarray(scores)[::-1, [2, 0]]
    assert np.array_equal(category_means(turned, category), together[0][::-1, [2, 0]])
    assert np.array_equal(mean_of(turned), together[1][::-1, [2, 0]])


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 40), st.integers(0, 10**6), st.booleans())
def test_spearman(tolerance, count, seed, ties) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, count))
    if ties:
        x, y = np.round(x), np.round(y)
    x[rng.random(count) < 0.1] = np.nan
    found = spearman(x, y)
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 3 or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        assert found is None
        return
    # By hand: the correlation of ranks, and Student's t of it.
    ranks = stats.rankdata(x[both]), stats.rankdata(y[both])
    rho = np.corrcoef(*ranks)[0, 1]
    assert found.rho == pytest.approx(rho, abs=tolerance("statistic", "float64"))
    n = int(both.sum())
    assert found.count == n
    if n > 2 and abs(rho) < 1 - 1e-9:
        t = rho * np.sqrt((n - 2) / (1 - rho**2))
        assert found.p == pytest.approx(
            2 * stats.t.sf(abs(t), n - 2), rel=tolerance("p_value", "float64"), abs=0
        )


@settings(max_examples=50, deadline=None)
@given(score_tables(regimes=2), st.integers(0, 10**6))
def test_aggregates_are_plain_means_and_spread_no_nan(tolerance, make_cube, scores, seed) -> None:
    rng = np.random.default_rng(seed)
    scores = scores.copy()
    scores[rng.random(scores.shape) < 0.05] = np.nan
    cube = make_cube(scores, SIZES)
    means = aggregate(cube)
    edges = np.cumsum([0, *SIZES])
    for k in range(3):
        part = scores[..., edges[k] : edges[k + 1]]
        assert np.allclose(
            means.category[..., k],
            part.mean(axis=2),
            rtol=0,
            atol=tolerance("statistic", "float64"),
            equal_nan=True,
        )
    plain = np.mean([means.category[..., k] for k in range(3)], axis=0)
    assert np.allclose(
        means.macro, plain, rtol=0, atol=tolerance("statistic", "float64"), equal_nan=True
    )
    assert np.allclose(
        means.micro,
        scores.mean(axis=2),
        rtol=0,
        atol=tolerance("statistic", "float64"),
        equal_nan=True,
    )
    assert np.array_equal(means.scored, np.isfinite(scores).sum(axis=2))


def test_means_that_are_equal_in_exact_arithmetic_are_equal() -> None:
    # 0.1 + 0.2 + 0.3 in two orders, and a mean that float64 gets wrong in the last place.
    scores = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.2, 0.2]])
    means = category_means(scores, np.zeros(3, dtype=np.int64))[:, 0]
    assert means[0] == means[1] == means[2] == 0.2


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(0, 10**6))
def test_pareto_frontier_is_the_undominated_set(count, seed) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(1, 6, count).astype(float)
    score = rng.integers(0, 6, count) / 10
    cost[rng.random(count) < 0.1] = np.nan
    score[rng.random(count) < 0.1] = np.nan
    expected = set()
    for a in range(count):
        if np.isnan(cost[a]) or np.isnan(score[a]):
            continue
        dominated = any(
            cost[b] <= cost[a]
            and score[b] >= score[a]
            and (cost[b] < cost[a] or score[b] > score[a])
            for b in range(count)
        )
        if not dominated:
            expected.add(a)
    found = pareto_frontier(cost, score)
    assert set(found.tolist()) == expected
    assert (np.diff(cost[found]) >= 0).all()


@settings(max_examples=50, deadline=None)
@given(score_tables(models=(2, 8)), st.floats(1.1, 20), st.integers(0, 10**6))
def test_smaller_beats_larger_by_counting(make_cube, scores, factor, seed) -> None:
    rng = np.random.default_rng(seed)
    params = [int(10 ** rng.uniform(6, 10)) if rng.random() > 0.1 else None for _ in scores]
    cube = make_cube(scores, SIZES, params=params)
    macro = aggregate(cube).macro[:, 0]
    expected = {
        (a, b)
        for a in range(len(scores))
        for b in range(len(scores))
        if params[a] and params[b] and factor * params[a] <= params[b] and macro[a] > macro[b]
    }
    found = smaller_beats_larger(cube, "full", factor=factor)
    assert {(cube.model_index(p.smaller), cube.model_index(p.larger)) for p in found} == expected
    assert [p.gap for p in found] == sorted((p.gap for p in found), reverse=True)


def test_smaller_beats_larger_refuses_a_factor_of_one(make_cube) -> None:
    with pytest.raises(ValueError, match="not above 1"):
        smaller_beats_larger(make_cube(np.zeros((2, 7)), SIZES), "full", factor=1.0)


@settings(max_examples=50, deadline=None)
@given(score_tables())
def test_wins_and_spread_by_counting(tolerance, make_cube, scores) -> None:
    cube = make_cube(scores, SIZES)
    table = scores[:, 0]
    wins = dict.fromkeys(cube.model_ids, 0)
    for winner, column in zip(task_winners(cube, "full"), table.T, strict=True):
        first = [cube.model_ids[m] for m in range(len(table)) if column[m] == column.max()]
        assert list(winner.winners) == first
        rest = column[column < column.max()]
        assert winner.runner_up == (rest.max() if len(rest) else None)
        for name in first:
            wins[name] += 1
    assert dict(win_counts(cube, "full")) == wins
    spread = {task.task_id: task for task in task_spread(cube, "full")}
    for k, task in enumerate(cube.tasks):
        assert spread[task.task_id].sd == pytest.approx(
            np.std(table[:, k], ddof=1), abs=tolerance("statistic", "float64")
        )
        assert spread[task.task_id].highest == table[:, k].max()


@settings(max_examples=30, deadline=None)
@given(score_tables(models=(6, 9)), st.integers(0, 10**6))
def test_end_bands_and_groups_by_counting(tolerance, make_cube, scores, seed) -> None:
    rng = np.random.default_rng(seed)
    corpus = rng.choice(["human", "plant", "multi"], len(scores)).tolist()
    cube = make_cube(scores, SIZES, corpus=corpus)
    bands = end_bands(cube, "full", "corpus", threshold=0.0)
    assert sum(bands.top.values()) == sum(bands.bottom.values()) == bands.slots == 3 * sum(SIZES)
    top = dict.fromkeys(corpus, 0)
    for column in scores[:, 0].T:
        for m in sorted(range(len(column)), key=lambda m: (-column[m], m))[:3]:
            top[corpus[m]] += 1
    assert dict(bands.top) == {name: count for name, count in top.items() if count}
    macro = aggregate(cube).macro[:, 0]
    for group in label_groups(cube, "corpus", regime="full"):
        rows = [m for m, name in enumerate(corpus) if name == group.label]
        assert group.count == len(rows)
        assert group.macro["full"] == pytest.approx(
            macro[rows].mean(), abs=tolerance("statistic", "float64")
        )


@settings(max_examples=30, deadline=None)
@given(score_tables(models=(3, 6), regimes=3))
def test_few_shot_losses_and_retention_by_hand(tolerance, make_cube, scores) -> None:
    scores = np.abs(scores) + 0.01
    cube = make_cube(scores, SIZES)
    macro = aggregate(cube).macro
    for place, regime in ((1, "10shot"), (2, "1shot")):
        for loss in few_shot_degradation(cube)[regime]:
            m = cube.model_index(loss.model_id)
            assert loss.absolute == pytest.approx(
                macro[m, 0] - macro[m, place], abs=tolerance("statistic", "float64")
            )
            assert loss.relative == pytest.approx(
                1 - macro[m, place] / macro[m, 0], abs=tolerance("ratio_of_statistics", "float64")
            )
    edges = np.cumsum([0, *SIZES])
    for k, name in enumerate(cube.categories):
        part = scores[:, :, edges[k] : edges[k + 1]].mean(axis=(0, 2))
        assert retention(cube)[name]["1shot"] == pytest.approx(
            part[2] / part[0], rel=tolerance("ratio_of_statistics", "float64")
        )


@settings(max_examples=30, deadline=None)
@given(score_tables(models=(3, 7)))
def test_specialisation_by_ranks(tolerance, make_cube, scores) -> None:
    cube = make_cube(scores, SIZES)
    ranks = np.column_stack([stats.rankdata(-column) for column in scores[:, 0].T])
    category = np.repeat(np.arange(3), SIZES)
    for entry in specialisation(cube, "full"):
        m, k = cube.model_index(entry.model_id), cube.category_index(entry.category)
        expected = ranks[m, category != k].mean() - ranks[m, category == k].mean()
        assert entry.gain == pytest.approx(expected, abs=tolerance("statistic", "float64"))


def test_models_that_tie_everywhere_are_not_told_apart(make_cube) -> None:
    found = critical_difference(make_cube(np.zeros((4, 1, sum(SIZES))), SIZES), "full")
    assert found.friedman_p == 1.0 and found.cliques == ((0, 3),)


@settings(max_examples=25, deadline=None)
@given(score_tables(models=(3, 7)))
def test_friedman_and_nemenyi(tolerance, make_cube, scores) -> None:
    cube = make_cube(scores, SIZES)
    found = critical_difference(cube, "full")
    table = scores[:, 0]
    expected = np.nan_to_num(stats.friedmanchisquare(*table).pvalue, nan=1.0)  # nothing but ties
    assert found.friedman_p == pytest.approx(expected, rel=tolerance("p_value", "float64"))
    k, n = table.shape
    # statsmodels interpolates its own table of the studentised range.
    q = qsturng(0.95, k, np.inf) / np.sqrt(2)
    assert found.critical == pytest.approx(
        q * np.sqrt(k * (k + 1) / (6 * n)), rel=tolerance("studentised_range", "interpolated")
    )
    ranks = np.array(found.mean_ranks)
    for first, last in found.cliques:
        assert ranks[last] - ranks[first] <= found.critical
        assert last + 1 == k or ranks[last + 1] - ranks[first] > found.critical
    inside = {(a, b) for f, z in found.cliques for a in range(f, z + 1) for b in range(a, z + 1)}
    for a in range(k):
        for b in range(a + 1, k):
            assert ((a, b) in inside) == (ranks[b] - ranks[a] <= found.critical)


@pytest.mark.parametrize(
    ("models", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (10, 3.164)]
)
def test_nemenyi_against_demsars_table(make_cube, models, q, tolerance) -> None:
    scores = np.random.default_rng(0).random((models, 7))
    found = critical_difference(make_cube(scores, SIZES), "full")
    assert found.critical * np.sqrt(6 * 7 / (models * (models + 1))) == pytest.approx(
        q, abs=tolerance("studentised_range", "printed")
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_paired_comparison(tolerance, make_cube, seed) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 40, (2, 7)) / 40
    cube = make_cube(scores, SIZES)
    found = compare_models(cube, "model-0", "model-1", "full")
    d = scores[0] - scores[1]
    assert (found.ahead, found.behind, found.equal) == (
        (d > 0).sum(),
        (d < 0).sum(),
        (d == 0).sum(),
    )
    macro = aggregate(cube).macro[:, 0]
    assert found.difference == pytest.approx(
        macro[0] - macro[1], abs=tolerance("rounded_statistic", "float64")
    )
    wins = [((d[i] > 0) + 0.5 * (d[i] == 0)) for i in range(7)]
    parts = [np.mean(wins[:4]), np.mean(wins[4:6]), wins[6]]
    assert found.superiority == pytest.approx(np.mean(parts), abs=tolerance("statistic", "float64"))
    if (d != 0).any():
        assert found.wilcoxon_p == stats.wilcoxon(d[d != 0]).pvalue
    else:
        assert found.wilcoxon_p is None
    turned = compare_models(cube, "model-1", "model-0", "full")
    assert turned.difference == -found.difference
    assert turned.interval.low == pytest.approx(
        -found.interval.high, abs=tolerance("statistic", "float64")
    )
    assert [part.interval is None for part in found.categories] == [True, True, True]


@settings(max_examples=20, deadline=None)
@given(score_tables(models=(3, 6)))
def test_leaving_a_category_out(make_cube, scores) -> None:
    cube = make_cube(scores, SIZES)
    edges = np.cumsum([0, *SIZES])
    parts = np.stack([scores[:, 0, edges[k] : edges[k + 1]].mean(axis=1) for k in range(3)], axis=1)
    for k, entry in enumerate(leave_one_category_out(cube, "full")):
        rest = np.round(np.delete(parts, k, axis=1).mean(axis=1), 10)
        assert rest[cube.model_index(entry.leader)] == rest.max()
        name, places = entry.largest_move
        before = stats.rankdata(-np.round(parts.mean(axis=1), 10), method="min")
        after = stats.rankdata(-rest, method="min")
        m = cube.model_index(name)
        assert places == before[m] - after[m]
        assert abs(places) == np.abs(before - after).max()


def test_rank_ranges_hold_the_rank_and_narrow_with_the_gap(make_cube) -> None:
    base = np.random.default_rng(0).random(7) * 0.2
    far = make_cube(np.stack([base + 0.5, base + 0.25, base]), SIZES)
    for rank, name in enumerate(far.model_ids, start=1):
        found = rank_ranges(far, "full")[name]
        assert (found.rank, found.low, found.high) == (rank, rank, rank)
        assert found.first == float(rank == 1)
    noisy = make_cube(np.random.default_rng(1).random((3, 7)), SIZES)
    for found in rank_ranges(noisy, "full").values():
        assert found.low <= found.rank <= found.high


def test_scaling_ignores_models_without_a_size_or_a_score(make_cube) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((6, 7))
    scores[4, 2] = np.nan
    sizes = [10**6, 10**7, 10**8, 10**9, 10**9, None]
    found = scaling(make_cube(scores, SIZES, params=sizes), "full")
    small = scaling(make_cube(scores[:4], SIZES, params=sizes[:4]), "full")
    assert found.macro == small.macro and found.models == 4
    assert found.categories["Category 1"].count == 5  # the missing task is of another category
    less = scaling(make_cube(scores, SIZES, params=sizes), "full", without=["model-0", "model-1"])
    assert less.macro is None


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 60), st.integers(0, 10**6))
def test_leakage_scores_the_rows_that_are_left(tolerance, rows, seed) -> None:
    rng = np.random.default_rng(seed)
    train = rng.integers(0, 40, rows)
    test = rng.integers(0, 60, rows)
    y, guess = rng.integers(0, 3, (2, rows))
    leaked = leaked_rows(train, test)
    assert leaked.tolist() == [value in set(train.tolist()) for value in test.tolist()]
    found = leakage("t", y, guess, leaked)
    assert (found.test_rows, found.leaked) == (rows, int(leaked.sum()))
    assert found.mcc == pytest.approx(
        matthews_corrcoef(y, guess), abs=tolerance("statistic", "float64")
    )
    clean = ~leaked
    if clean.sum() < 2 or len(np.unique(y[clean])) < 2:
        assert found.clean_mcc is None
    else:
        assert found.clean_mcc == pytest.approx(
            matthews_corrcoef(y[clean], guess[clean]), abs=tolerance("statistic", "float64")
        )


@pytest.mark.parametrize("classes", [2, 5])
def test_chance_bound_by_permutation(classes, tolerance) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, 200)
    guess = np.where(rng.random(200) < 0.3, 0, y)
    bound = float(chance_bound(np.array([200]), deviations=1.0)[0])
    if classes == 2:  # two classes: MCC is Pearson's correlation of the 0/1 vectors
        luck = [np.corrcoef(y, rng.permutation(guess))[0, 1] for _ in range(3000)]
        assert np.std(luck) == pytest.approx(bound, rel=tolerance("permuted_sd", "relative"))
    else:
        luck = [matthews_corrcoef(y, rng.permutation(guess)) for _ in range(200)]
        assert np.std(luck) < 0.75 * bound
    assert np.isnan(chance_bound(np.array([0, 1]))).all()
