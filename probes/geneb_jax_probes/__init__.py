"""Batched probes on frozen features: problems in, fits and scores out."""

from __future__ import annotations

from geneb_jax_probes.errors import ProbeDataError, ProbeError, ProbeOptionError
from geneb_jax_probes.fits import STATUSES, LogisticFits
from geneb_jax_probes.logistic import fit_logistic
from geneb_jax_probes.logistic_probe import LogisticProbe
from geneb_jax_probes.logistic_probe_cv import LogisticProbeCV
from geneb_jax_probes.metrics import Scores, scores
from geneb_jax_probes.mlp import MLPRecipe
from geneb_jax_probes.mlp_probe import MLPProbe
from geneb_jax_probes.mlp_tasks import fit_mlp_tasks
from geneb_jax_probes.tasks import ProbeTask, TaskScores, fit_tasks

#: Raised whenever a score could change for the same input; part of the key of every record.
CODE_VERSION = "probes-3"

__all__ = [
    "CODE_VERSION",
    "STATUSES",
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
