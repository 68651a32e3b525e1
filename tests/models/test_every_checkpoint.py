"""All 40 published checkpoints at true size, by names and shapes alone: whole and tampered with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest

from geneb_jax.errors import CheckpointError
from geneb_jax.models import registry
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.family import find_family
from tests.models import bert_checkpoints
from tests.models.convolution_checkpoints import copies_of
from tests.models.esm_checkpoints import published_tensors
from tests.models.state_space_checkpoints import TensorsInMemory
from tests.models.test_decoder_published import MODELS as DECODERS

#: Whose default tests change every kind of tensor already.
HELD_ELSEWHERE = {*bert_checkpoints.MODELS, *DECODERS}

Shapes = dict[str, tuple[int, ...]]


def published(model_id: str) -> tuple[Shapes, list[str], Callable[[Shapes], None]]:
    """Shapes by name, the names that an embedding needs, and a check of names and shapes."""
    spec = registry()[model_id]
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=model_id)
    module, key_map = family.module(config), family.key_map(config)
    content = published_tensors(model_id)
    shapes = {name: tuple(shape) for name, (shape, _) in content["tensors"].items()}

    def check(changed: Shapes) -> None:
        fit_checkpoint(module, TensorsInMemory(changed), key_map)

    unused = set(content["dropped"])
    if model_id == "space":  # the other species
        unused |= {name for name in shapes if ".mouse" in name}
    return shapes, [name for name in shapes if name not in unused], check


def one_of_each_kind(names: Iterable[str]) -> list[str]:
    """Of names that differ in numbers alone, the last."""
    return list({re.sub(r"\d+", "#", name): name for name in names}.values())


def tampered(shapes: Shapes, model_id: str, name: str) -> dict[str, tuple[Shapes, str]]:
    """Kind of change to the changed checkpoint and the name that must be complained of.

    Where the file repeats a tensor under other names, all of them change.
    """
    same = [name, *copies_of(model_id, name)]
    without = {key: shape for key, shape in shapes.items() if key not in same}
    changes = {
        "removed": (without, name),
        "renamed": (without | {f"{key}_": shapes[key] for key in same}, name),
        "added": (shapes | {f"{name}.extra": shapes[name]}, f"{name}.extra"),
    }
    turned = shapes[name][::-1]
    if turned != shapes[name]:  # a square matrix looks the same either way
        changes["transposed"] = (shapes | dict.fromkeys(same, turned), name)
    return changes


@pytest.mark.parametrize(
    ("model_id", "all_names"),
    [
        pytest.param(
            model_id,
            all_names,
            marks=pytest.mark.sweep if all_names or model_id in HELD_ELSEWHERE else (),
        )
        for model_id in registry()
        for all_names in (False, True)
    ],
)
@pytest.mark.fault("F10")
def test_whole_it_fits_and_tampered_it_is_refused_by_name(model_id: str, all_names: bool) -> None:
    shapes, used, check = published(model_id)
    check(shapes)
    firsts = [name for name in used if name not in published_tensors(model_id).get("tied", {})]
    names = firsts if all_names else one_of_each_kind(firsts)
    assert len(names) >= 5
    for name in names:
        for kind, (changed, said) in tampered(shapes, model_id, name).items():
            with pytest.raises(CheckpointError) as refusal:
                check(changed)
            assert said in refusal.value.message, kind
