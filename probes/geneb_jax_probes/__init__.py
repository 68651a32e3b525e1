"""Batched probes on frozen features: problems in, fits and scores out.

JAX loads with the first name that needs it: importing this package, its metrics, its endings or its
list of solvers loads neither jax nor optax.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.errors import ProbeDataError, ProbeError, ProbeOptionError
from geneb_jax_probes.feature_rows import FeatureRows
from geneb_jax_probes.metrics import Scores, scores
from geneb_jax_probes.mlp.recipe import MLPRecipe
from geneb_jax_probes.task_scores import ProbeTask, TaskScores

if TYPE_CHECKING:
    from geneb_jax_probes.estimators.logistic_probe import LogisticProbe
    from geneb_jax_probes.estimators.logistic_probe_cv import LogisticProbeCV
    from geneb_jax_probes.estimators.mlp_probe import MLPProbe
    from geneb_jax_probes.fits import LogisticFits
    from geneb_jax_probes.logistic import fit_logistic
    from geneb_jax_probes.mlp.tasks import fit_mlp_tasks
    from geneb_jax_probes.tasks import fit_tasks

#: Raised whenever a score could change for the same input; part of the key of every record.
CODE_VERSION = "probes-4"

#: Names that load JAX, and the modules they are found in.
_LAZY = {
    "LogisticFits": "fits",
    "LogisticProbe": "estimators.logistic_probe",
    "LogisticProbeCV": "estimators.logistic_probe_cv",
    "MLPProbe": "estimators.mlp_probe",
    "fit_logistic": "logistic",
    "fit_mlp_tasks": "mlp.tasks",
    "fit_tasks": "tasks",
}

__all__ = [
    "CODE_VERSION",
    "Ending",
    "FeatureRows",
    "LogisticFits",
    "LogisticProbe",
    "LogisticProbeCV",
    "MLPProbe",
    "MLPRecipe",
    "ProbeDataError",
    "ProbeError",
    "ProbeOptionError",
    "ProbeTask",
    "Scores",
    "TaskScores",
    "fit_logistic",
    "fit_mlp_tasks",
    "fit_tasks",
    "scores",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
