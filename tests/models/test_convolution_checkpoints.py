"""Synthetic checkpoints of the convolutional families, with the published names and shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.errors import CheckpointError
from geneb_jax.models import registry
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.parameters import parameter_shapes
from tests.models.convolution_checkpoints import (
    MODEL_IDS,
    copies_of,
    small_config,
    small_tensors,
    unused_names,
    used_names,
    write_weights,
)
from tests.models.esm_checkpoints import published_tensors


def fit(model_id: str, tensors: dict[str, np.ndarray], folder: Path) -> Any:
    spec = registry()[model_id]
    family, config = find_family(spec.family), small_config(model_id)
    suffix = Path(spec.weight_files()[0].name).suffix
    path = write_weights(tensors, folder / f"weights{suffix}")
    return fit_checkpoint(family.module(config), open_checkpoint([path]), family.key_map(config))


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_published_names_and_shapes_fit_the_model_of_true_size(model_id: str) -> None:
    """Every tensor has its place, and together they hold as many numbers as the parameters."""
    spec = registry()[model_id]
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=model_id)
    published = published_tensors(model_id)
    used = set(published["tensors"]) - unused_names(model_id)
    size = sum(int(np.prod(published["tensors"][name][0])) for name in used)
    parameters = parameter_shapes(family.module(config))
    assert sum(variable.get_value().size for variable in parameters.values()) == size


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_nothing_is_missing_or_left_over(model_id: str, tmp_path: Path) -> None:
    tensors = small_tensors(model_id)
    fitted = fit(model_id, tensors, tmp_path)
    matched = {name for parts in fitted.parts.values() for part in parts for name in part.names}
    copies = {copy for name in matched for copy in copies_of(model_id, name)}
    assert matched - copies == set(used_names(model_id)) - copies
    fitted.load(dtype="float32")


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_tampering_is_refused_by_name(model_id: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    names = used_names(model_id)
    chosen = [names[index] for index in generator.choice(len(names), 4, replace=False)]
    for number, name in enumerate(chosen):
        names_of = {name, *copies_of(model_id, name)}
        changed = small_tensors(model_id)
        values = changed[name]
        for kind in ("removed", "added", "renamed", "reshaped", "not finite"):
            tensors = dict(changed)
            if kind == "removed":
                for gone in names_of:
                    tensors.pop(gone, None)
            elif kind == "added":
                tensors[f"{name}.extra"] = values
            elif kind == "renamed":
                for gone in names_of & set(tensors):
                    tensors[f"{gone}_"] = tensors.pop(gone)
            elif kind == "reshaped":
                tensors[name] = np.concatenate([values, values])
            else:
                broken = values.copy()
                broken.flat[0] = np.nan
                tensors |= {copy: broken for copy in names_of & set(tensors)}
            folder = tmp_path / f"{number}-{kind}"
            with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
                fit(model_id, tensors, folder).load(dtype="float32")
