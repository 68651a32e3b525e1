"""The bits of a row depend on its sequence and the identity alone: no company changes them."""

from __future__ import annotations

import csv
import gzip
import importlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from geneb_jax.embed import (
    Forward,
    Placement,
    embed_into,
    embed_sequences,
    limited,
)
from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder, registry
from geneb_jax.store import EmbeddingStore
from tests.models.narrow_checkpoints import narrow_spec, write_narrow

BUILT_IN = ("kmer-4", "kmer-6", "tiny-nt-v1", "tiny-nt-v2")
#: Names and families of every kind of arithmetic: rotary and learned attention, ALiBi, experts'
#: and gated layers, convolutions by FFT, scans.
NARROW = (
    "caduceus-ph_seqlen-1k_d_model-256_n_layer-4_lr-8e-3",
    "hyenadna-medium-160k-seqlen-hf",
    "GENERator-eukaryote-1.2b-base",
    "DNABERT-S",
    "gpt2_gene_v1",
)


def real_sequences(folder: Path, count: int, seed: int = 0) -> list[str]:
    """Distinct sequences of five real tasks, mixed."""
    texts: dict[str, None] = {}
    for task in sorted(folder.glob("*.csv.gz"))[::7][:5]:
        with gzip.open(task, "rt", newline="") as file:
            rows = [row["text"] for _, row in zip(range(300), csv.DictReader(file), strict=False)]
        texts |= dict.fromkeys(text for text in rows if len(text) <= 700)
    order = np.random.default_rng(seed).permutation(len(texts))[:count]
    return [list(texts)[at] for at in order]


def load(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> TokenEncoder:
    """A built-in model, or a published one with narrow layers; random weights."""
    if name in BUILT_IN:
        encoder = load_encoder(name)
    else:
        spec = narrow_spec(name)
        path = write_narrow(spec, folder / "checkpoint")
        blueprints = importlib.import_module("geneb_jax.models.blueprint")
        monkeypatch.setattr(blueprints, "find_spec", lambda _: spec)
        encoder = load_encoder(name, LoadOptions(path=path))
    assert isinstance(encoder, TokenEncoder)
    return encoder


def require_no_company_matters(
    encoder: TokenEncoder, texts: list[str], others: list[str], table: Any, root: Path
) -> None:
    alone = embed_sequences(encoder, texts)
    forward = Forward(encoder)
    found = {
        "reversed": embed_sequences(encoder, texts[::-1], forward=forward)[::-1],
        "one by one": np.concatenate(
            [embed_sequences(encoder, [text], forward=forward) for text in texts[:3]]
        ),
        "one device": embed_sequences(
            encoder, texts, forward=Forward(encoder, placement=Placement(jax.devices()[:1]))
        ),
    }
    for at, company in enumerate((others, others[::3], [text[:40] for text in others])):
        mixed = [*company[::2], *texts, *company[1::2]]
        where = [mixed.index(text) for text in texts]
        found[f"company {at}"] = embed_sequences(encoder, mixed, forward=forward)[where]
    # Killed after a part, in the shards of a larger table, and resumed in those of a smaller one.
    store = EmbeddingStore.open(root, encoder.identity, encoder.width, rows_per_shard=16)
    embed_into(store, encoder, table([*texts[::3], *others[::4]]), forward=forward)
    rows = table(texts)
    embed_into(store, encoder, rows, forward=forward)
    found["resumed"] = store.read(rows.digests)
    for what, values in found.items():
        assert values.tobytes() == alone[: len(values)].tobytes(), what
    for budget in (100, 511, 2048, 10**6):
        smaller = limited(encoder, budget)
        values = embed_sequences(smaller, texts[:10], batch_tokens=budget)
        same = values.tobytes() == alone[:10].tobytes()
        assert same or smaller.identity != encoder.identity, budget


def one_of_every_family() -> dict[str, str]:
    """The first published model of each family by name."""
    return {spec.family: name for name, spec in reversed(sorted(registry().items()))}


@pytest.mark.parametrize("name", ["kmer-4", pytest.param("tiny-nt-v2", marks=pytest.mark.sweep)])
@pytest.mark.fault("F29", "F66")
def test_company_order_budget_devices_and_resume_change_no_bit(
    name: str, draw: Any, table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(name, tmp_path, monkeypatch)
    texts, others = draw(40, 60, 110), draw(40, 20, 140, seed=1)
    require_no_company_matters(encoder, texts, others, table, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("name", [*BUILT_IN, *NARROW])
@pytest.mark.fault("F29", "F66")
def test_company_of_500_real_sequences_changes_no_bit(
    name: str, real_tasks: Path, table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(name, tmp_path, monkeypatch)
    texts = real_sequences(real_tasks, 1000)
    require_no_company_matters(encoder, texts[:500], texts[500:], table, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("family", sorted(one_of_every_family()))
@pytest.mark.fault("F29", "F66")
def test_company_changes_no_bit_in_any_family(
    family: str, draw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(one_of_every_family()[family], tmp_path, monkeypatch)
    # Few lengths, as a compilation is what takes the time, but more than one rung.
    texts = [*draw(4, 130, 130), *draw(4, 96, 96)]
    others = [*draw(5, 130, 130, seed=1), *draw(4, 96, 96, seed=1), "ACGT" * 8]
    both, one = Forward(encoder), Forward(encoder, placement=Placement(jax.devices()[:1]))
    alone = embed_sequences(encoder, texts, forward=both)
    mixed = embed_sequences(encoder, [*others[:4], *texts[::-1], *others[4:]], forward=both)
    found = {
        "company": mixed[4:-6][::-1],
        "one device": embed_sequences(encoder, texts, forward=one),
        "one by one": np.concatenate(
            [embed_sequences(encoder, [text], forward=one) for text in texts]
        ),
    }
    for what, values in found.items():
        assert values.tobytes() == alone.tobytes(), what
