"""The tables that only a run of the user's fills: its scores one by one, seeds, rows, controls."""

from __future__ import annotations

from geneb_jax.analysis import SettingAgreement, Statistics
from geneb_jax.report.layer_tables import layer_table
from geneb_jax.report.sweep_table import sweep_table
from geneb_jax.report.tables import Table, bounds

__all__ = ["run_tables"]


def run_tables(statistics: Statistics) -> tuple[Table, ...]:
    """What only the run itself knows: seeds, test rows, controls, chance, leakage, settings."""
    tables = [
        _metric_table(statistics),
        _own_table(statistics),
        Table(
            "seed-spread",
            "Spread over few-shot seeds",
            ("model_id", "regime", "typical_sd", "widest_sd", "widest_task", "macro_error"),
            tuple(
                (
                    s.model_id,
                    s.regime,
                    s.typical,
                    s.widest,
                    s.widest_task,
                    s.macro_error,
                )
                for s in statistics.seed_spread
            ),
            "macro_error: standard error of the macro mean from the choice of seeds alone.",
        ),
        Table(
            "baselines",
            "Against untrained and composition baselines",
            ("model_id", "baseline", "kind", "gain_macro", "tasks_ahead", "tasks"),
            tuple(
                (b.model_id, b.baseline_id, b.kind, b.gain, b.ahead, b.tasks)
                for b in statistics.baselines
            ),
        ),
        Table(
            "tasks-at-chance",
            "Tasks within two standard deviations of guessing",
            ("model_id", "tasks"),
            tuple(
                (name, count)
                for name, count in statistics.tasks_at_chance.items()
                if count is not None
            ),
            "Guessing has an MCC of 0 with a standard deviation of 1 / sqrt(test rows - 1).",
        ),
    ]
    tables[:0] = [layer_table(statistics.layers), sweep_table(statistics.sweep)]
    tables += [_leakage_table(statistics), _row_table(statistics)]
    tables += [_setting_table(found) for found in statistics.settings]
    return tuple(table for table in tables if table.rows)


def _metric_table(statistics: Statistics) -> Table:
    """The six scores of each model, over the same tasks."""
    columns = ("mcc", "accuracy", "macro_f1", "auroc", "auprc", "brier")
    return Table(
        "six-scores",
        "Six scores side by side",
        ("model_id", "regime", "tasks", *columns),
        tuple(
            (one.model_id, one.regime, one.tasks, *(one.scores[name] for name in columns))
            for one in statistics.metric_means
        ),
        "Means of the category means over the tasks that the model has in the regime. "
        "auroc, auprc: areas under the ROC and the precision-recall curve, the second class being "
        "the positive one; of more classes the mean over each class against the rest, a class "
        "without a test "
        "row left out. brier: mean squared error of the probabilities, smaller is better. Empty "
        "where a task lacks the score.",
    ).without_empty_columns()


def _own_table(statistics: Statistics) -> Table:
    """Score by score: the interval, what it must beat, and itself without leaked rows."""
    counts = [one.leaked for one in statistics.own_scores]
    clean = bool(counts) and not any(count is None or count for count in counts)
    return Table(
        "own-scores",
        f"Your scores, {statistics.regime}: interval, chance, baselines, leakage",
        (
            "model_id",
            "task",
            "category",
            "mcc",
            "low",
            "high",
            "seed_sd",
            "chance",
            "untrained",
            "composition",
            "test_rows",
            "leaked",
            "mcc_without",
            "data",
            "reverse_complements",
            "near_repeats",
            "mcc_distinct",
        ),
        tuple(
            (
                one.model_id,
                one.label,
                one.category,
                one.mcc,
                *bounds(one.interval),
                one.seed_sd,
                one.chance,
                one.untrained,
                one.composition,
                one.test_rows,
                one.leaked,
                one.clean_mcc,
                one.data or None,
                one.reverse_complements,
                one.near_repeats,
                one.distinct_mcc,
            )
            for one in statistics.own_scores
        ),
        "low, high: 95% interval over the test rows, from kept predictions. seed_sd: spread over "
        "few-shot seeds. chance: what guessing reaches by luck on so many rows. untrained, "
        "composition: the run's random-weight control and its best k-mer counts on the task. "
        "leaked: test rows whose sequence is a training row too; mcc_without: the score on the "
        "others. reverse_complements, near_repeats: further test rows that are a training row's "
        "other strand, or nearly a training row (some 5% of the letters differ); mcc_distinct: "
        "the score without these either."
        + (" Here no test row repeats a training row." if clean else "")
        + " data: verified (the files have the digests of the benchmark's pinned revision), size "
        "alike (the official number of test rows), unlike (another number: never ranked beside "
        "published scores).",
        3,
        (("mcc", "low", "high"),),
    ).without_empty_columns()


def _row_table(statistics: Statistics) -> Table:
    return Table(
        "row-spread",
        f"Spread over test rows, {statistics.regime}",
        ("model_id", "tasks", "test_rows", "typical_se", "widest_se", "widest_task", "macro_se"),
        tuple(
            (
                s.model_id,
                s.tasks,
                s.test_rows,
                s.typical,
                s.widest,
                s.widest_task,
                s.macro_error,
            )
            for s in statistics.row_spread
        ),
        "Standard errors from the choice of test rows alone, tasks taken as independent.",
    )


def _leakage_table(statistics: Statistics) -> Table:
    return Table(
        "leakage",
        "The score without test rows that are training rows too",
        (
            "model_id",
            "regime",
            "tasks_affected",
            "leaked",
            "macro",
            "macro_without",
            "change",
            "resembling",
            "macro_distinct",
        ),
        tuple(
            (
                entry.model_id,
                entry.regime,
                entry.affected,
                entry.leaked,
                entry.macro,
                entry.clean_macro,
                None if entry.clean_macro is None else entry.clean_macro - entry.macro,
                entry.resembling,
                entry.distinct_macro,
            )
            for entry in statistics.leakage_free
            if entry.affected or entry.resembling
        ),
        "The probe is the same; only the rows it is scored on differ. leaked: exact repeats, in "
        "any regime of the whole training file; resembling: those, reverse complements and near "
        "repeats, where the run looked for them. Models without any such row are not listed. "
        "Task by task: the table of your scores.",
    )


def _setting_table(found: SettingAgreement) -> Table:
    widest = sorted(found.ranges.items(), key=lambda item: -item[1])[:3]
    moved = ", ".join(f"{name} {value:.3f}" for name, value in widest)
    return Table(
        f"settings-{found.regime}",
        f"Agreement of probe settings, {found.regime}",
        (
            "first",
            "second",
            "models",
            "tasks",
            "rho_cells",
            "rho_models",
            "top3",
            "top5",
            "mean_change",
        ),
        tuple(
            (
                str(pair.first),
                str(pair.second),
                pair.shared_models,
                pair.shared_tasks,
                None if pair.cells is None else pair.cells.rho,
                None if pair.models is None else pair.models.rho,
                pair.top3,
                pair.top5,
                pair.mean_change,
            )
            for pair in found.pairs
        ),
        "Each pair over the models that both settings have, and the tasks that these have in both. "
        f"Widest ranges of a mean: {moved}.",
        3,
    )
