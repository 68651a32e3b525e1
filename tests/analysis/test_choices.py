"""Leaderboards, recommendations, controls and settings: the parts a user decides by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geneb_jax.analysis import (
    Budget,
    baselines,
    build_panel,
    compare_models,
    contrasts,
    controls_of,
    leaderboard,
    pair_differences,
    published_cube,
    published_pairs,
    ranking,
    read_pairs,
    recommend,
    seed_spread,
    setting_agreement,
    tasks_at_chance,
    tie_groups,
)
from geneb_jax.errors import DataError, SelectionError
from geneb_jax.results import EmbeddingFacts, ModelFacts, RunScores
from tests.tolerance import Tolerance

SIZES = (6, 5, 4)


def graded(count: int, gap: float, noise: float) -> np.ndarray:
    """Scores ``[model, task]``: each model ``gap`` below the one before, with noise."""
    rng = np.random.default_rng(0)
    return 0.8 - gap * np.arange(count)[:, None] + noise * rng.standard_normal((count, sum(SIZES)))


def test_tie_groups_follow_the_gaps(make_cube) -> None:
    def groups(scores: np.ndarray) -> list[int]:
        found = ranking(make_cube(scores, SIZES), "full")
        return [found.groups[row] for row in found.order]

    clear = graded(5, 0.1, 0.01)
    assert groups(clear) == [1, 2, 3, 4, 5]
    blurred = groups(graded(5, 0.0, 0.05))
    assert blurred[0] == 1 and max(blurred) < 5
    assert groups(np.repeat(graded(2, 0.1, 0.01), 2, axis=0)) == [1, 1, 2, 2]
    assert groups(clear[:1]) == [1]
    assert groups(clear[:0]) == []


def test_a_group_ends_where_any_two_of_its_models_are_told_apart() -> None:
    # The third is not told from the first, but from the second: it opens a group.
    ahead = np.zeros((4, 4), dtype=bool)
    ahead[1, 2] = ahead[0, 3] = True
    assert tie_groups(ahead) == [1, 1, 2, 2]


@pytest.mark.sweep
def test_groups_ranges_and_paired_comparisons_say_the_same() -> None:
    cube = published_cube()
    board = leaderboard(cube, title="")
    labels = [row.model.label for row in board.rows]
    low = {
        (a, b): compare_models(cube, a, b, "full").interval.low
        for k, a in enumerate(labels)
        for b in labels[k + 1 :]
    }
    for k, row in enumerate(board.rows):
        better = sum(low[a, labels[k]] > 0.0 for a in labels[:k])
        worse = sum(low[labels[k], b] > 0.0 for b in labels[k + 1 :])
        assert (row.rank_range.low, row.rank_range.high) == (1 + better, len(labels) - worse)
        group = [r for r in board.rows if r.tie_group == row.tie_group]
        for other in group:
            assert row.rank_range.low <= other.rank <= row.rank_range.high
            if other.rank > row.rank:
                assert low[row.model.label, other.model.label] <= 0.0
        if k and board.rows[k - 1].tie_group != row.tie_group:
            before = [r for r in board.rows[:k] if r.tie_group == row.tie_group - 1]
            assert any(low[r.model.label, row.model.label] > 0.0 for r in before)


def test_equal_scores_share_a_rank(make_cube) -> None:
    scores = np.repeat([[0.5], [0.7], [0.5], [0.1]], sum(SIZES), axis=1)
    board = leaderboard(make_cube(scores, SIZES), title="")
    assert [(row.model.label, row.rank) for row in board.rows] == [
        ("model-1", 1),
        ("model-0", 2),
        ("model-2", 2),
        ("model-3", 4),
    ]


def test_recommendation_is_the_best_within_the_budget() -> None:
    cube = published_cube()
    free = recommend(cube, ["splice sites"])
    assert free.best.model.label == "nucleotide-transformer-2.5b-multi-species"
    small = recommend(cube, ["Splice Sites"], budget=Budget(max_params=3e8))
    # The paper: Enformer is the strongest below 300M, MutBERT below 100M.
    assert small.best.model.display == "Enformer"
    assert small.unlimited.label == free.best.model.label
    assert small.margin == pytest.approx(small.candidates[0].mcc - small.candidates[1].mcc)
    tiny = recommend(cube, ["Splice Sites"], budget=Budget(max_params=1e8))
    assert tiny.best.model.display == "MutBERT"
    assert all(c.model.params <= 1e8 for c in tiny.candidates)
    ten = recommend(cube, ["Splice Sites"], regime="10shot")
    assert ten.best.model.display == "LucaOne"


def test_equals_are_those_whose_interval_includes_zero(tolerance: Tolerance) -> None:
    found = recommend(published_cube(), ["Promoters"])
    assert found.best.equal and found.best.behind is None
    for candidate in found.candidates[1:]:
        assert candidate.behind.estimate == pytest.approx(
            found.best.mcc - candidate.mcc, abs=tolerance("rounded_statistic", "float64")
        )
        assert candidate.equal == (candidate.behind.low <= 0.0)
    near = [c for c in found.candidates if c.equal and found.best.mcc - c.mcc <= 0.02]
    assert found.smallest_equal.model.params == min(c.model.params for c in near)
    # Five tasks tell hardly anyone apart: that alone must not recommend the smallest of all.
    few = recommend(published_cube(), ["Mouse Enh."])
    assert few.tasks == 5 and sum(c.equal for c in few.candidates) >= 8
    assert few.best.mcc - few.smallest_equal.mcc <= 0.02
    wide = recommend(published_cube(), ["Mouse Enh."], close=1.0)
    assert wide.smallest_equal.model.params < few.smallest_equal.model.params


@pytest.mark.parametrize("category", ["Species Clf.", "Regulatory"])
def test_below_five_tasks_nobody_is_told_apart_or_called_equal(category) -> None:
    found = recommend(published_cube(), [category])
    assert found.tasks < 5
    assert all(candidate.behind is None for candidate in found.candidates)
    assert found.smallest_equal == found.best


def test_one_task_says_nothing_of_its_kind() -> None:
    found = recommend(published_cube(), ["Coding/NC"])
    assert found.tasks == 1
    assert all(candidate.behind is None for candidate in found.candidates)
    assert [candidate.equal for candidate in found.candidates[:2]] == [True, False]


def test_no_category_means_all_and_several_their_mean(tolerance: Tolerance) -> None:
    cube = published_cube()
    everything = recommend(cube)
    assert everything.tasks == 100 and len(everything.categories) == 13
    assert everything.best.model.label == "GENERator-eukaryote-3b-base"
    two = recommend(cube, ["TF Binding", "Enhancers"])
    means = [recommend(cube, [name]) for name in two.categories]
    expected = np.mean(
        [next(c.mcc for c in one.candidates if c.model == two.best.model) for one in means]
    )
    assert two.best.mcc == pytest.approx(expected, abs=tolerance("statistic", "float64"))


def test_a_shown_name_that_several_models_share_chooses_none_of_them(make_cube) -> None:
    cube = make_cube(graded(3, 0.1, 0.0), SIZES)
    labels = ("net #aaaaaa", "net #bbbbbb", "other")
    models = tuple(ModelFacts(label, label.split(" ")[0]) for label in labels)
    shared = replace(cube, models=models)
    with pytest.raises(SelectionError, match=r"several models are called 'net'.*#aaaaaa.*#bbbbbb"):
        shared.model_index("net")
    assert [shared.model_index(label) for label in labels] == [0, 1, 2]


def test_models_of_unknown_figures_are_left_out_by_name(make_cube) -> None:
    cube = make_cube(graded(3, 0.1, 0.0), SIZES, params=[10**9, None, 10**7])
    found = recommend(cube, budget=Budget(max_params=1e8))
    assert (found.best.model.label, found.left_out) == ("model-2", ("model-1",))
    fast = replace(
        cube,
        models=tuple(
            replace(
                model,
                embedding=None
                if count is None
                else EmbeddingFacts(count, 0, tokens=9, seconds=1.0),
            )
            for model, count in zip(cube.models, (5, 50, None), strict=True)
        ),
    )
    quick = recommend(fast, budget=Budget(min_sequences_per_second=10))
    assert (quick.best.model.label, quick.left_out) == ("model-1", ("model-2",))
    assert recommend(fast, budget=Budget(min_tokens_per_second=9)).best.model.label == "model-0"
    with pytest.raises(SelectionError, match="keeps to the budget"):
        recommend(cube, budget=Budget(max_params=1e6))
    with pytest.raises(SelectionError, match="no model has every task"):
        recommend(make_cube(np.full((2, 15), np.nan), SIZES))


def baselines_ahead(make_cube, step: float):
    """Counts, a control, then two trained models, each ``step`` below the one before."""
    cube = make_cube(graded(4, step, 0.0), SIZES, params=[None, 10**7, 10**9, 10**8])
    kinds = ("none", "random", "pretrained", "pretrained")
    models = tuple(replace(m, weights=w) for m, w in zip(cube.models, kinds, strict=True))
    return replace(cube, models=models)


def test_a_baseline_is_never_recommended_and_the_one_ahead_is_named(make_cube) -> None:
    found = recommend(baselines_ahead(make_cube, 0.1))
    assert [one.model.label for one in found.candidates] == ["model-2", "model-3"]
    assert found.best is found.candidates[0] and found.unlimited.label == "model-2"
    assert [one.model.label for one in found.baselines] == ["model-0", "model-1"]
    assert found.not_beaten == found.baselines
    assert all(one.behind.high < 0 and not one.equal for one in found.baselines)
    assert found.margin == pytest.approx(found.best.mcc - found.candidates[1].mcc)
    # A limit of size is no reason to leave out counts, which have no parameters.
    small = recommend(baselines_ahead(make_cube, 0.1), budget=Budget(max_params=2e8))
    assert (small.best.model.label, small.left_out) == ("model-3", ())
    assert [one.model.label for one in small.baselines] == ["model-0", "model-1"]
    beaten = recommend(baselines_ahead(make_cube, -0.1))
    assert beaten.best.model.label == "model-3" and beaten.not_beaten == ()


def test_without_a_trained_model_the_best_baseline_is_named(make_cube) -> None:
    cube = baselines_ahead(make_cube, 0.1)
    found = recommend(cube.select_models([0, 1]))
    assert (found.best.model.label, found.baselines) == ("model-0", ())
    assert len(found.candidates) == 2


def test_a_model_that_lacks_a_task_is_left_out_of_its_category_only(make_cube) -> None:
    scores = graded(3, 0.1, 0.0)
    scores[0, 0] = np.nan
    cube = make_cube(scores, SIZES)
    first = recommend(cube, ["Category 0"])
    assert (first.best.model.label, first.left_out) == ("model-1", ("model-0",))
    assert recommend(cube, ["Category 1"]).best.model.label == "model-0"


def test_controls_stand_beside_the_models_of_the_run(make_cube) -> None:
    cube = make_cube(graded(5, 0.1, 0.0), SIZES)
    facts = [
        ModelFacts("trained", "trained", architecture="T-enc"),
        ModelFacts("other", "other", architecture="Mamba"),
        ModelFacts("untrained", "untrained", architecture="T-enc", weights="random"),
        ModelFacts("kmer", "kmer", weights="none"),
        ModelFacts("published", "published", source="published"),
    ]
    cube = replace(cube, models=tuple(facts))
    found = {(b.model_id, b.baseline_id): b for b in baselines(cube, "full")}
    assert set(found) == {
        ("trained", "untrained"),
        ("trained", "kmer"),
        ("other", "untrained"),
        ("other", "kmer"),
    }
    assert found["trained", "untrained"].gain == pytest.approx(0.2)
    assert found["trained", "untrained"].ahead == found["trained", "untrained"].tasks == 15
    assert found["other", "kmer"].kind == "composition"


def test_the_control_of_a_model_is_first_of_all_itself_untrained(make_cube) -> None:
    def control(label: str, name: str, *variant: str, architecture: str = "") -> ModelFacts:
        return ModelFacts(
            label, name=name, variant=("untrained", *variant), architecture=architecture,
            weights="random",
        )  # fmt: skip

    models = (
        ModelFacts("a", architecture="T-enc"),
        ModelFacts("a @layer 3", name="a", variant=("@layer 3",), architecture="T-enc"),
        ModelFacts("a cls", name="a", variant=("cls",), architecture="T-enc"),
        ModelFacts("b", architecture="T-enc"),
        ModelFacts("c", architecture="Mamba"),
        control("a (untrained)", "a", architecture="T-enc"),
        control("a (untrained) @layer 3", "a", "@layer 3", architecture="T-enc"),
        control("other", "other", architecture="T-enc"),
    )
    found = {
        model.label: [models[k].label for k in controls_of(models, row)]
        for row, model in enumerate(models)
    }
    both = ["a (untrained)", "a (untrained) @layer 3"]
    assert found["a"] == both[:1] and found["a @layer 3"] == both[1:] and found["a cls"] == both
    assert found["b"] == found["c"] == [*both, "other"]
    assert found["other"] == found["a (untrained)"] == []
    cube = replace(make_cube(graded(8, 0.1, 0.0), SIZES), models=models)
    gains = {b.model_id: b.baseline_id for b in baselines(cube, "full") if b.model_id[0] == "a"}
    assert gains == {"a": both[0], "a @layer 3": both[1], "a cls": both[1]}  # the last of two
    # The controls of a model that did not finish stand aside for those that did.
    scores = graded(8, 0.1, 0.0)
    scores[5, 0] = np.nan
    cube = replace(make_cube(scores, SIZES), models=models)
    gains = {b.model_id: b.baseline_id for b in baselines(cube, "full")}
    assert gains["a"] == both[1]


def test_a_control_of_another_seed_is_still_the_models_own() -> None:
    models = (
        ModelFacts("a"),
        ModelFacts("b", name="a", variant=("untrained seed 7", "@layer 0"), weights="random"),
        ModelFacts("c", name="a", variant=("untrained seed 7",), weights="random"),
    )
    assert [models[k].label for k in controls_of(models, 0)] == ["c"]


def test_tasks_at_chance_need_test_sizes(make_cube) -> None:
    scores = np.array([[0.05] * 15, [0.5] * 15])
    cube = make_cube(scores, SIZES)
    assert tasks_at_chance(cube, "full") == {"model-0": None, "model-1": None}
    sized = replace(cube, test_rows=np.array([401] * 10 + [0] * 5))
    # Two standard deviations of guessing on 401 rows are 0.1.
    assert tasks_at_chance(sized, "full") == {"model-0": 10, "model-1": 0}


def test_seed_spread(make_suite, make_rows) -> None:
    suite = make_suite([2, 1])
    cube = build_panel([RunScores(suite, make_rows(suite), None)]).cube
    found = seed_spread(cube, 2)
    assert [entry.regime for entry in found] == ["10shot", "1shot"]
    sd = 0.01 / np.sqrt(2)
    assert found[0].typical == pytest.approx(sd) and found[0].widest == pytest.approx(sd)
    # Category of two tasks: variance sd^2 / 2; of one: sd^2; macro of two; mean of two seeds.
    expected = np.sqrt((sd**2 / 2 + sd**2) / 2) / 2
    assert found[0].macro_error == pytest.approx(expected)


def test_settings_agree_with_themselves_and_not_with_their_reverse(
    make_suite, make_rows, tolerance
) -> None:
    suite = make_suite([4, 3])
    models = [f"m{k}" for k in range(6)]
    rows = []
    for strength, sign in ((0.1, 1), (1.0, 1), (10.0, -1)):
        for k, name in enumerate(models):
            rows += make_rows(suite, name, level=0.3 + sign * 0.05 * k, C=strength)
    panel = build_panel([RunScores(suite, rows, None)])
    found = setting_agreement(panel.settings, "full")
    rho = {(p.first.C, p.second.C): p.models.rho for p in found.pairs}
    assert rho[0.1, 1.0] == pytest.approx(1) and rho[1.0, 10.0] == pytest.approx(-1)
    assert (found.lowest, found.highest) == (pytest.approx(-1), pytest.approx(1))
    assert found.ranges["m0"] == pytest.approx(0, abs=tolerance("rounded_statistic", "float64"))
    assert found.ranges["m5"] == pytest.approx(0.5)
    pair = next(p for p in found.pairs if (p.first.C, p.second.C) == (0.1, 1.0))
    assert (pair.top3, pair.top5, pair.mean_change) == (
        3,
        5,
        pytest.approx(0, abs=tolerance("statistic", "float64")),
    )
    assert set(pair.tasks) == {task.task_id for task in suite.tasks}
    one = {key: cube for key, cube in panel.settings.items() if key.C == 1.0}
    assert setting_agreement(one, "full") is None


def test_pairs_of_the_user(tmp_path, tolerance) -> None:
    cube = published_cube()
    path = tmp_path / "pairs.csv"
    path.write_text(
        "\ufeffmodel_a,model_b,factor\nMutBERT,GROVER,tokenization\nEnformer,SPACE,mine\n",
        encoding="utf-8",
    )
    pairs = read_pairs(path, cube)
    assert [(p.model_a, p.model_b, p.factor) for p in pairs] == [
        ("MutBERT", "GROVER", "tokenization"),
        ("enformer-official-rough", "space", "mine"),
    ]
    first, second = pair_differences(cube, pairs, "full")
    (listed,) = [
        d
        for d in pair_differences(cube, published_pairs(), "full")
        if (d.pair.model_a, d.pair.model_b) == ("GROVER", "MutBERT")
    ]
    assert first.macro == pytest.approx(-listed.macro, abs=tolerance("statistic", "float64"))
    # Listed the other way round, the two average as one contrast.
    (both,) = contrasts(cube, [first, listed])
    assert (both.pairs, both.label_a) == (2, "SN")
    assert both.macro == pytest.approx(first.macro, abs=tolerance("statistic", "float64"))
    assert second.pair.stated is None


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("model_a,factor\nMutBERT,x\n", DataError, "column 'model_b' is missing"),
        ("model_a,model_b,factor\nMutBERT,MutBERT,x\n", DataError, "paired with itself"),
        ("model_a,model_b,factor\nMutBERT,Nobody,x\n", SelectionError, "'Nobody'"),
        ("model_a,model_b,factor\nMutBERT\n", SelectionError, "no scores of a model ''"),
    ],
)
def test_bad_pairs_are_refused(tmp_path, content, error, words) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(error, match=words):
        read_pairs(path, published_cube())
    with pytest.raises(DataError, match="cannot be read"):
        read_pairs(tmp_path / "absent.csv", published_cube())
