"""A key decides by everything that decides a score, and by nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import pytest

from geneb_jax.results import UnitKey, unit_digest

OTHERS = {
    "task_id": "task-b",
    "regime": "1shot",
    "shots": 1,
    "embedding": {"model_id": "kmer-4", "weights": "other", "layer": -1},
    "task_fingerprint": "cd" * 32,
    "seeds": (13, 17, 42, 997, 123),
    "C": (1.0, 0.1),
    "probe": "mlp",
    "solver": "exact",
    "tol": 1e-5,
    "max_iter": 999,
    "dtype": "float32",
    "code": "2",
}


@pytest.mark.fault("F44")
def test_every_field_is_in_the_digest(key: UnitKey) -> None:
    assert set(OTHERS) == {field.name for field in fields(UnitKey)}
    digests = [unit_digest(replace(key, **{name: value})) for name, value in OTHERS.items()]
    assert len({unit_digest(key), *digests}) == len(OTHERS) + 1


def test_the_digest_is_the_hash_of_the_canonical_text(key: UnitKey) -> None:
    text = (
        'geneb-jax unit 2\n{"C":[0.1,1.0],"code":"1","dtype":"float64","embedding":{"layer":-1,'
        '"model_id":"kmer-4","weights":"none"},"max_iter":1000,'
        '"probe":"logistic","regime":"10shot","seeds":[13,17,42,123,997],"shots":10,'
        '"solver":"reference","task_fingerprint":"' + "ab" * 32 + '","task_id":"task-a",'
        '"tol":0.0001}'
    )
    assert key.digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_order_of_the_identity_does_not_matter(key: UnitKey) -> None:
    turned = dict(reversed(list(key.embedding.items())))
    assert unit_digest(replace(key, embedding=turned)) == key.digest


@pytest.mark.parametrize(
    "values", [{"C": ()}, {"C": (1.0, 1)}, {"seeds": (13, 13)}, {"C": (float("nan"),)}]
)
def test_impossible_keys_are_refused(key: UnitKey, values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"C|seeds"):
        replace(key, **values)
