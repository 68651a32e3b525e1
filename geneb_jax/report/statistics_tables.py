"""The statistics document as tables: the paper's numbers, and how firm the ranking is."""

from __future__ import annotations

import math

from geneb_jax.analysis import Correlation, Statistics
from geneb_jax.report.tables import Cell, Table

__all__ = ["paper_tables", "robustness_tables"]


def paper_tables(statistics: Statistics) -> tuple[Table, ...]:
    """What the paper reports, recomputed."""
    regime = statistics.regime
    left_out = statistics.scaling_without.left_out
    tables = [
        Table(
            "scaling",
            f"Does size help? Spearman's rho of log10 parameters with MCC, {regime}",
            ("category", "rho", "p", "models", "rho_without", "p_without"),
            _scaling_rows(statistics),
            f"Without: {', '.join(left_out)}." if left_out else "",
            3,
        ),
        Table(
            "size-tiers",
            "Mean macro MCC by size",
            ("from_params", "below_params", "models", "mean_macro"),
            tuple(
                (int(t.low), int(t.high) if math.isfinite(t.high) else None, t.count, t.mean)
                for t in statistics.size_tiers
            ),
        ),
        _retention(statistics),
        Table(
            "wins",
            f"Tasks won, {regime}",
            ("model_id", "tasks"),
            tuple((name, count) for name, count in statistics.wins.items() if count),
            "A shared first place counts for each model that has it; who has none is not listed.",
        ),
        Table(
            "category-leaders",
            "First-ranked model by category",
            ("category", *statistics.regimes),
            tuple(
                (
                    category,
                    *(
                        ", ".join(statistics.category_leaders[name][category])
                        for name in statistics.regimes
                    ),
                )
                for category in statistics.categories
            ),
        ),
        _inversions(statistics),
        Table(
            "contrasts",
            "Controlled contrasts: mean difference over pairs",
            ("factor", "first", "second", "pairs", "delta_macro", "positive"),
            tuple(
                (c.factor, c.label_a, c.label_b, c.pairs, c.macro, c.macro_positive)
                for c in statistics.contrasts
            ),
        ),
        *(_groups(statistics, label) for label in ("tokenization", "architecture", "corpus")),
        Table(
            "specialisation",
            "Specialists: places gained inside a category",
            ("model_id", "category", "gain", "tasks"),
            tuple(
                (s.model_id, s.category, s.gain, s.tasks) for s in statistics.specialisation[:10]
            ),
            "The ten largest: mean rank outside minus mean rank inside; with one or two tasks this "
            "is noisy.",
            1,
        ),
        Table(
            "hard-tasks",
            "Hard tasks: lowest mean MCC over models",
            ("task_id", "mean", "sd"),
            tuple(
                (task.task_id, task.mean, task.sd)
                for task in sorted(statistics.hard_tasks, key=lambda task: task.mean)
            ),
            "",
            3,
        ),
        _agreement(statistics),
    ]
    return tuple(table for table in tables if table.rows)


def _scaling_rows(statistics: Statistics) -> tuple[tuple[Cell, ...], ...]:
    everyone, rest = statistics.scaling, statistics.scaling_without
    lines = [("macro", everyone.macro, rest.macro)]
    lines += sorted(
        ((name, found, rest.categories[name]) for name, found in everyone.categories.items()),
        key=lambda line: -(_rho(line[1]) or -2.0),
    )
    return tuple(
        (name, found.rho, found.p, found.count, _rho(other), None if other is None else other.p)
        for name, found, other in lines
        if found is not None
    )


def _rho(found: Correlation | None) -> float | None:
    return None if found is None else found.rho


def _retention(statistics: Statistics) -> Table:
    kept = statistics.retention
    few = [name for name in statistics.regimes if name != "full"]
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
    found = statistics.smaller_beats_larger
    return Table(
        "smaller-beats-larger",
        f"Models that beat others {found.factor:g} times their size: {len(found.pairs)} pairs",
        ("smaller", "larger", "ratio", "gap"),
        tuple((p.smaller, p.larger, p.ratio, p.gap) for p in found.pairs),
        f"Among {found.models} models, without those pretrained on "
        f"{', '.join(found.left_out_corpora)}; with them {found.count_all_models} pairs.",
        3,
    )


def _groups(statistics: Statistics, label: str) -> Table:
    return Table(
        f"by-{label}",
        f"Mean macro MCC by {label}",
        (label, "models", *statistics.regimes),
        tuple(
            (
                group.label or "not stated",
                group.count,
                *(group.macro[name] for name in statistics.regimes),
            )
            for group in statistics.label_groups[label]
        ),
        "These groups differ in much besides; the controlled pairs compare like with like.",
    )


def _agreement(statistics: Statistics) -> Table:
    found = statistics.regime_agreement
    rows: list[tuple[Cell, ...]] = [("macro", *(_rho(entry.macro) for entry in found))]
    rows += [
        (name, *(_rho(entry.categories[name]) for entry in found)) for name in statistics.categories
    ]
    return Table(
        "regime-agreement",
        "Rank agreement with full data",
        ("category", *(entry.regime for entry in found)),
        tuple(row for row in rows if any(cell is not None for cell in row[1:])),
        "Spearman's rho over models.",
        3,
    )


def robustness_tables(statistics: Statistics) -> tuple[Table, ...]:
    """How firm the ranking is."""
    ranks = statistics.critical_difference
    tables = [
        Table(
            "leave-one-category-out",
            "The ranking without one category",
            ("left_out", "rho", "leader", "moves_most", "places"),
            tuple(
                (entry.category, _rho(entry.agreement), entry.leader, *entry.largest_move)
                for entry in statistics.leave_one_category_out
            ),
            "rho: rank agreement with the whole ranking; places: how far one model moves.",
        ),
        Table(
            "mean-ranks",
            "Mean ranks over tasks",
            ("model_id", "mean_rank"),
            () if ranks is None else tuple(zip(ranks.models, ranks.mean_ranks, strict=True)),
            ""
            if ranks is None
            else f"Nemenyi critical difference {ranks.critical:.2f} at {ranks.alpha:g}; "
            "tasks count alike here, categories in the macro mean.",
            2,
        ),
    ]
    return tuple(table for table in tables if table.rows)
