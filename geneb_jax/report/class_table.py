"""What the labels of a suite's tasks are called."""

from __future__ import annotations

from geneb_jax.benchmark import Suite
from geneb_jax.report.tables import Table

__all__ = ["class_tables"]


def class_tables(suite: Suite) -> tuple[Table, ...]:
    """One table of a suite's class names; none where no task has any."""
    rows = tuple(
        (task.label, label, name) for task in suite.tasks for label, name in enumerate(task.classes)
    )
    if not rows:
        return ()
    return (
        Table(
            "classes",
            "Names of the classes",
            ("task", "label", "class"),
            rows,
            "Labels as the task files number them; the names are the publisher's, or the suite's.",
        ),
    )
