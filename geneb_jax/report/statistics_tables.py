"""The statistics document as tables: the paper's numbers, the ranking's firmness, the run's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geneb_jax.report.tables import Cell, Table

__all__ = ["paper_tables", "robustness_tables", "run_tables"]

Statistics = Mapping[str, Any]


def paper_tables(statistics: Statistics) -> tuple[Table, ...]:
    """What the paper reports, recomputed."""
    regime = statistics["regime"]
    scaling = statistics["scaling"]
    left_out = scaling["macro_without"]["left_out"]
    tables = [
        Table(
            "scaling",
            f"Does size help? Spearman's rho of log10 parameters with MCC, {regime}",
            ("category", "rho", "p", "models", "rho_without", "p_without"),
            _scaling_rows(scaling),
            f"Without: {', '.join(left_out)}." if left_out else "",
            3,
        ),
        Table(
            "size-tiers",
            "Mean macro MCC by size",
            ("from_params", "below_params", "models", "mean_macro"),
            tuple((t["low"], t["high"], t["models"], t["mean"]) for t in scaling["size_tiers"]),
        ),
        _retention(statistics),
        Table(
            "wins",
            f"Tasks won, {regime}",
            ("model_id", "tasks"),
            tuple((name, count) for name, count in statistics["wins"].items() if count),
            "A shared first place counts for each model that has it.",
        ),
        Table(
            "category-leaders",
            "First-ranked model by category",
            ("category", *statistics["regimes"]),
            tuple(
                (
                    category,
                    *(
                        ", ".join(statistics["category_leaders"][name][category])
                        for name in statistics["regimes"]
                    ),
                )
                for category in statistics["categories"]
            ),
        ),
        _inversions(statistics),
        Table(
            "contrasts",
            "Controlled contrasts: mean difference over pairs",
            ("factor", "first", "second", "pairs", "delta_macro", "positive"),
            tuple(
                (c["factor"], c["label_a"], c["label_b"], c["pairs"], c["delta"], c["positive"])
                for c in statistics["contrasts"]
            ),
        ),
        *(_groups(statistics, label) for label in ("tokenization", "architecture", "corpus")),
        Table(
            "specialisation",
            "Specialists: places gained inside a category",
            ("model_id", "category", "gain", "tasks"),
            tuple(
                (s["model_id"], s["category"], s["gain"], s["tasks"])
                for s in statistics["specialisation"][:10]
            ),
            "Mean rank outside minus mean rank inside; with one or two tasks this is noisy.",
            1,
        ),
        Table(
            "hard-tasks",
            "Hard tasks: lowest mean MCC over models",
            ("task_id", "mean", "sd"),
            tuple(
                (
                    name,
                    statistics["task_spread"][name]["mean"],
                    statistics["task_spread"][name]["sd"],
                )
                for name in sorted(
                    statistics["hard_tasks"], key=lambda k: statistics["task_spread"][k]["mean"]
                )
            ),
            "",
            3,
        ),
        _agreement(statistics),
    ]
    return tuple(table for table in tables if table.rows)


def _scaling_rows(scaling: Mapping[str, Any]) -> tuple[tuple[Cell, ...], ...]:
    lines = [("macro", scaling["macro"], scaling["macro_without"])]
    lines += sorted(
        (
            (name, found, scaling["categories_without"][name])
            for name, found in scaling["categories"].items()
        ),
        key=lambda line: -(line[1]["rho"] or -2.0),
    )
    return tuple(
        (name, found["rho"], found["p"], found["models"], rest["rho"], rest["p"])
        for name, found, rest in lines
        if found["rho"] is not None
    )


def _retention(statistics: Statistics) -> Table:
    kept = statistics["retention"]
    few = [name for name in statistics["regimes"] if name != "full"]
    rows = tuple((category, *(shares[name] for name in few)) for category, shares in kept.items())
    return Table(
        "retention",
        "Share of the full-data MCC kept with few rows",
        ("category", *few),
        rows,
        "Ratio of the means over models.",
        3,
    )


def _inversions(statistics: Statistics) -> Table:
    found = statistics["smaller_beats_larger"]
    return Table(
        "smaller-beats-larger",
        f"Models that beat others {found['factor']:g} times their size: {found['count']} pairs",
        ("smaller", "larger", "ratio", "gap"),
        tuple((p["smaller"], p["larger"], p["ratio"], p["gap"]) for p in found["pairs"]),
        f"Among {found['models']} models, without those pretrained on "
        f"{', '.join(found['left_out_corpora'])}; with them {found['count_all_models']} pairs.",
        3,
    )


def _groups(statistics: Statistics, label: str) -> Table:
    return Table(
        f"by-{label}",
        f"Mean macro MCC by {label}",
        (label, "models", *statistics["regimes"]),
        tuple(
            (
                group["label"] or "not stated",
                group["models"],
                *(group["macro"][name] for name in statistics["regimes"]),
            )
            for group in statistics["label_groups"][label]
        ),
        "These groups differ in much besides; the controlled pairs compare like with like.",
    )


def _agreement(statistics: Statistics) -> Table:
    found = statistics["regime_agreement"]
    rows: list[tuple[Cell, ...]] = []
    if found:
        rows.append(("macro", *(entry["macro"]["rho"] for entry in found.values())))
        rows += [
            (name, *(entry["categories"][name]["rho"] for entry in found.values()))
            for name in statistics["categories"]
        ]
    return Table(
        "regime-agreement",
        "Rank agreement with full data",
        ("category", *found),
        tuple(row for row in rows if any(cell is not None for cell in row[1:])),
        "Spearman's rho over models.",
        3,
    )


def robustness_tables(statistics: Statistics) -> tuple[Table, ...]:
    """How firm the ranking is."""
    ranks = statistics["critical_difference"]
    tables = [
        Table(
            "leave-one-category-out",
            "The ranking without one category",
            ("left_out", "rho", "leader", "moves_most", "places"),
            tuple(
                (
                    name,
                    entry["rho"],
                    entry["leader"],
                    entry["largest_move"]["model_id"],
                    entry["largest_move"]["places"],
                )
                for name, entry in statistics["leave_one_category_out"].items()
            ),
            "rho: rank agreement with the whole ranking; places: how far one model moves.",
        ),
        Table(
            "mean-ranks",
            "Mean ranks over tasks",
            ("model_id", "mean_rank"),
            () if ranks is None else tuple(ranks["mean_ranks"].items()),
            ""
            if ranks is None
            else f"Nemenyi critical difference {ranks['critical']:.2f} at {ranks['alpha']:g}; "
            "tasks count alike here, categories in the macro mean.",
            2,
        ),
    ]
    return tuple(table for table in tables if table.rows)


def run_tables(statistics: Statistics) -> tuple[Table, ...]:
    """What only the run itself knows: seeds, controls, chance."""
    models = statistics["models"]
    tables = [
        Table(
            "seed-spread",
            "Spread over few-shot seeds",
            ("model_id", "regime", "typical_sd", "widest_sd", "widest_task", "macro_error"),
            tuple(
                (
                    s["model_id"],
                    s["regime"],
                    s["typical"],
                    s["widest"],
                    s["widest_task"],
                    s["macro_error"],
                )
                for s in statistics["seed_spread"]
            ),
            "macro_error: standard error of the macro mean from the choice of seeds alone.",
        ),
        Table(
            "baselines",
            "Against untrained and composition baselines",
            ("model_id", "baseline", "kind", "gain_macro", "tasks_ahead", "tasks"),
            tuple(
                (b["model_id"], b["baseline_id"], b["kind"], b["gain"], b["ahead"], b["tasks"])
                for b in statistics["baselines"]
            ),
        ),
        Table(
            "tasks-at-chance",
            "Tasks within two standard deviations of guessing",
            ("model_id", "tasks"),
            tuple(
                (name, count)
                for name, count in statistics["tasks_at_chance"].items()
                if count is not None and name in models
            ),
            "Guessing has an MCC of 0 with a standard deviation of 1 / sqrt(test rows - 1).",
        ),
    ]
    tables += [_leakage_table(statistics)]
    tables += [_setting_table(found) for found in statistics["settings"]]
    return tuple(table for table in tables if table.rows)


def _leakage_table(statistics: Statistics) -> Table:
    found = [
        entry
        for entry in statistics["leakage"]
        if entry["regime"] == statistics["regime"] and entry["leaked"]
    ]
    found.sort(key=lambda entry: -entry["leaked"] / max(entry["test_rows"], 1))
    return Table(
        "leakage",
        f"Test rows that are training rows too, {statistics['regime']}",
        ("model_id", "task_id", "test_rows", "leaked", "mcc", "mcc_without", "change"),
        tuple(
            (
                entry["model_id"],
                entry["task_id"],
                entry["test_rows"],
                entry["leaked"],
                entry["mcc"],
                entry["clean_mcc"],
                None if entry["clean_mcc"] is None else entry["clean_mcc"] - entry["mcc"],
            )
            for entry in found
        ),
        "The probe is the same; only the rows it is scored on differ.",
    )


def _setting_table(found: Mapping[str, Any]) -> Table:
    widest = sorted(found["ranges"].items(), key=lambda item: -item[1])[:3]
    moved = ", ".join(f"{name} {value:.3f}" for name, value in widest)
    return Table(
        f"settings-{found['regime']}",
        f"Agreement of probe settings, {found['regime']}",
        ("first", "second", "rho_cells", "rho_models", "top3", "top5", "mean_change"),
        tuple(
            (
                pair["first"],
                pair["second"],
                pair["cells_rho"],
                pair["models_rho"],
                pair["top3"],
                pair["top5"],
                pair["mean_change"],
            )
            for pair in found["pairs"]
        ),
        f"Over the models and tasks that all settings have. Widest ranges of a mean: {moved}.",
        3,
    )
