"""The tables of probe stability: what the paper's Tables 7-13 show, for any models."""

from __future__ import annotations

from geneb_jax.analysis import ProbeSetting, SettingAgreement, SettingMeans, Stability
from geneb_jax.report.tables import Cell, Table

__all__ = ["stability_tables"]


def stability_tables(found: Stability) -> tuple[Table, ...]:
    """Linear against MLP (Tables 7-10), then C in each regime (Tables 11-13); empty ones left out.

    Args:
        found: See :func:`geneb_jax.analysis.probe_stability`.
    """
    tables = []
    if found.probes is not None:
        tables.append(_agreement("stability-probes", "Linear and MLP probe", found.probes))
        tables.append(_tasks(found.probes))
    if found.probe_means is not None:
        tables.append(_means("stability-probe-means", "Means by probe", found.probe_means))
    for regime, pairs in found.strengths.items():
        tables.append(_agreement(f"stability-C-{regime}", f"Values of C, {regime}", pairs))
    for regime, means in found.strength_means.items():
        name = f"stability-C-means-{regime}"
        tables.append(_means(name, f"Means by C, {regime}", means))
    return tuple(table for table in tables if table.rows)


def _name(setting: ProbeSetting) -> str:
    """Short within one table: the MLP has no C."""
    return setting.probe if setting.probe == "mlp" else f"{setting.probe} C={setting.C:g}"


def _agreement(name: str, title: str, found: SettingAgreement) -> Table:
    spread = (
        ""
        if found.mean is None
        else f" Over pairs: mean {found.mean:.3f}, lowest {found.lowest:.3f}, "
        f"highest {found.highest:.3f}."
    )
    return Table(
        name,
        f"{title}: agreement of rankings, {found.regime}",
        ("first", "second", "rho_models", "rho_cells", "top3", "top5", "mean_change",
         "largest_change"),
        tuple(
            (
                _name(pair.first),
                _name(pair.second),
                None if pair.models is None else pair.models.rho,
                None if pair.cells is None else pair.cells.rho,
                pair.top3,
                pair.top5,
                pair.mean_change,
                pair.largest_change,
            )
            for pair in found.pairs
        ),
        "Spearman's rho over models' means and over (model, task) cells; models shared by "
        f"the first three and five; second minus first.{spread}",
        3,
    )  # fmt: skip


def _tasks(found: SettingAgreement) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (task, None if rho is None else rho.rho)
        for pair in found.pairs[:1]
        for task, rho in pair.tasks.items()
    ]
    rows.sort(key=lambda row: -2.0 if row[1] is None else -float(row[1]))
    return Table(
        "stability-probe-tasks",
        f"Linear and MLP probe: agreement over models, task by task, {found.regime}",
        ("task_id", "rho_models"),
        tuple(rows),
        "Spearman's rho of the models' scores on the task; empty where all are equal.",
        3,
    )


def _means(name: str, title: str, found: SettingMeans) -> Table:
    return Table(
        name,
        title,
        ("model_id", *map(_name, found.settings), "range"),
        tuple(
            (model, *values, max(values) - min(values))
            for model, values in zip(found.models, found.means.tolist(), strict=True)
        ),
        f"Mean MCC over {len(found.tasks)} tasks; range: largest minus smallest.",
        3,
    )
