"""k-mer frequencies against a plain count: NumPy on real tasks, Python on strange letters."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.embed import embed_sequences, load_model
from geneb_jax.errors import ModelError, SelectionError
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax_kernels.kmer_counts import kmer_counts


def numpy_count(sequence: str, k: int) -> np.ndarray:
    """Window by window over letters, float32 [4**k]."""
    look_up = np.full(256, -1, np.int64)
    for code, letter in enumerate("ACGT"):
        look_up[ord(letter)] = look_up[ord(letter.lower())] = code
    letters = look_up[np.frombuffer(sequence.encode("latin1", "replace"), np.uint8)]
    counts = np.zeros(4**k, np.float32)
    if len(letters) >= k:
        windows = np.lib.stride_tricks.sliding_window_view(letters, k)
        windows = windows[(windows >= 0).all(axis=1)]
        columns = windows @ (4 ** np.arange(k - 1, -1, -1))
        counts = np.bincount(columns, minlength=4**k).astype(np.float32)
    return counts / counts.sum() if counts.sum() else counts


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize(
    "task",
    [
        "leannmlindsey_GUE_prom_core_tata",
        "leannmlindsey_GUE_emp_H3",
        "katarinagresova_Genomic_Benchmarks_human_ensembl_regulatory",
    ],
)
def test_frequencies_of_a_real_task_equal_a_numpy_count_to_the_bit(
    real_tasks: Path, task: str, k: int
) -> None:
    with gzip.open(real_tasks / f"{task}.csv.gz", "rt", newline="") as file:
        rows = [row["text"] for _, row in zip(range(300), csv.DictReader(file), strict=False)]
    found = embed_sequences(build_kmer_encoder(k), rows)
    expected = np.array([numpy_count(row, k) for row in rows])
    assert found.tobytes() == expected.tobytes()


@given(st.lists(st.text("ACGTacgtNUn-é☃", max_size=40), min_size=1, max_size=8), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_strange_letters_break_windows_and_are_counted(sequences: list[str], k: int) -> None:
    encoder = build_kmer_encoder(k)
    batch = encoder.tokenize_many(sequences)
    ids = np.full((8, 48), 4, np.int32)
    mask = np.zeros(ids.shape, bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = batch.ids[batch.starts[row] : batch.starts[row + 1]]
        mask[row, : len(sequence)] = True
    found = np.asarray(kmer_counts(ids, mask, k=k))
    for row, sequence in enumerate(sequences):
        upper = [letter.upper() if letter.isascii() else "?" for letter in sequence]
        windows = ("".join(upper[at : at + k]) for at in range(len(upper) - k + 1))
        expected = Counter(window for window in windows if not set(window) - set("ACGT"))
        for window, count in expected.items():
            column = int("".join(str("ACGT".index(letter)) for letter in window), 4)
            assert found[row, column] == count
        assert found[row].sum() == sum(expected.values())
        assert batch.unknown_bp[row] == sum(letter not in "ACGT" for letter in upper)
        single = encoder.tokenize(sequence)
        assert single.ids.tolist() == ids[row, : len(sequence)].tolist()
        assert single.unknown_bp == batch.unknown_bp[row]


def test_a_megabase_is_one_row() -> None:
    rng = np.random.default_rng(0)
    sequence = "".join(np.array(list("ACGTN"))[rng.integers(0, 5, 1_000_000)])
    found = embed_sequences(build_kmer_encoder(3), [sequence, "ACG"])
    assert found[0].tobytes() == numpy_count(sequence, 3).tobytes()
    assert found[1].sum() == 1


def test_the_kernel_never_makes_a_row_token_column_array() -> None:
    shape = (64, 512)
    lowered = kmer_counts.lower(
        jax.ShapeDtypeStruct(shape, np.int32), jax.ShapeDtypeStruct(shape, np.bool_), k=6
    )
    memory = lowered.compile().memory_analysis()
    result = 64 * 4**6 * 4
    assert memory.temp_size_in_bytes <= 2 * result + 16 * 64 * 512


@pytest.mark.parametrize("k", [0, 13])
def test_a_window_beyond_the_kernel_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="k must be"):
        kmer_counts(np.zeros((1, 20), np.int32), np.ones((1, 20), bool), k=k)


@pytest.mark.parametrize("k", [0, 7])
def test_only_one_to_six_are_models(k: int) -> None:
    with pytest.raises(ModelError, match="no k-mer model"):
        build_kmer_encoder(k)
    with pytest.raises(SelectionError):
        load_model(f"kmer-{k}")


def test_the_library_call_embeds_and_tokenizes() -> None:
    model = load_model("kmer-2")
    found = model.embed(["ACGT", "acgt", "", "NN"])
    assert found.shape == (4, 16) and model.width == 16
    assert found[0].tobytes() == found[1].tobytes() == numpy_count("ACGT", 2).tobytes()
    assert not found[2:].any()
    assert model.tokenize("ACGU").ids.tolist() == [0, 1, 2, 4]
    with pytest.raises(TypeError, match="list of strings"):
        model.embed("ACGT")
