"""GENEB extractors, classes and objects of the user's own as models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import geneb_jax
from geneb_jax.errors import ModelError, SelectionError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.adapters.object_adapter import ObjectEncoder, encoder_from_object
from geneb_jax.results import read_scores
from tests.tolerance import Tolerance

TEXTS = ["ACGTTGCANNACGT", "GATTACA" * 9, "N" * 20, "TTGACCGATA" * 90, "A"]

#: In the style of the benchmark's extractors: relative base class, name_model, device, prints.
EXTRACTOR = '''
import numpy as np

from .base import BaseEmbeddingExtractor
from .letters import LETTERS


class Counts(BaseEmbeddingExtractor):
    def __init__(self, name_model="counts", device="cpu"):
        self.name_model, self.device = name_model, device
        print("loading", name_model)

    def extract_embeddings(self, sequences, batch_size=8):
        print("Extracting embs...")
        rows = []
        for first in range(0, len(sequences), batch_size):
            batch = sequences[first : first + batch_size]
            rows += [[text.count(letter) / len(text) for letter in LETTERS] for text in batch]
        return np.array(rows)


class Leaky(Counts):
    """Adds the longest length of the batch, as padding that leaks does."""

    def extract_embeddings(self, seqs, batch_size=1):
        rows = []
        for first in range(0, len(seqs), batch_size):
            batch = seqs[first : first + batch_size]
            longest = max(map(len, batch))
            rows += [[text.count(letter) for letter in LETTERS] + [longest] for text in batch]
        return np.array(rows, float)


class OnlyTheFirst(Counts):
    """One row a batch, as an extractor that forgets the others."""

    def extract_embeddings(self, sequences, batch_size=1):
        return super().extract_embeddings(sequences[::batch_size], 1)


class NeedsACheckpoint(Counts):
    def __init__(self, name_model, device):
        super().__init__(name_model, device)


class NeedsMore(Counts):
    def __init__(self, vocabulary, device):
        super().__init__()


class Breaks(Counts):
    def extract_embeddings(self, sequences, batch_size=1):
        raise RuntimeError("out of luck")


class Nothing:
    pass


READY = Counts()


def make(device):
    return Counts(device=device)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "extractors"
    folder.mkdir()
    (folder / "letters.py").write_text('LETTERS = "ACGT"\n')
    file = folder / "my-counts.py"
    file.write_text(EXTRACTOR)
    return file


def counted(texts: Sequence[str]) -> np.ndarray:
    return np.array([[text.count(c) / len(text) for c in "ACGT"] for text in texts], np.float32)


@pytest.mark.parametrize("name", ["Counts", "READY", "make"])
def test_an_extractor_class_an_object_and_a_function(
    name: str, file: Path, capsys: pytest.CaptureFixture[str], tolerance: Tolerance
) -> None:
    encoder = load_encoder(f"{file}:{name}")
    assert isinstance(encoder, ObjectEncoder)
    assert encoder.width == 4
    np.testing.assert_allclose(
        encoder.embed(TEXTS), counted(TEXTS), rtol=0, atol=tolerance("object_adapter", "float32")
    )
    assert encoder.embed(TEXTS).dtype == np.float32
    assert encoder.identity.model_id == f"my-counts.{name}"
    captured = capsys.readouterr()
    assert captured.out == ""  # stdout is for results
    assert "Extracting embs..." in captured.err


def test_a_base_class_beside_the_file_is_used(file: Path) -> None:
    (file.parent / "base.py").write_text("class BaseEmbeddingExtractor:\n    mark = 7\n")
    file.write_text(EXTRACTOR.replace('print("loading", name_model)', "assert self.mark == 7"))
    assert load_encoder(f"{file}:Counts").width == 4


@pytest.mark.fault("F66")
def test_rows_that_depend_on_the_batch_are_taken_one_by_one(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Leaky", "OnlyTheFirst"):
        caplog.clear()
        encoder = load_encoder(f"{file}:{name}")
        assert "one sequence at a time" in caplog.text
        together = encoder.embed(TEXTS)  # type: ignore[attr-defined]
        alone = [encoder.embed([text])[0] for text in TEXTS]  # type: ignore[attr-defined]
        np.testing.assert_array_equal(together, np.array(alone))


def test_identity_follows_the_file_what_it_imports_and_the_checkpoint(
    file: Path, tmp_path: Path
) -> None:
    def weights(**options: Any) -> str:
        return load_encoder(f"{file}:Counts", LoadOptions(**options)).identity.weights

    first = weights()
    assert weights() == first
    (file.parent / "unrelated.py").write_text("x = 1\n")
    assert weights() == first
    (file.parent / "letters.py").write_text('LETTERS = "ACGT"  # changed\n')
    second = weights()
    assert second != first
    file.write_text(EXTRACTOR + "\n")
    assert weights() not in (first, second)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "weights.bin").write_bytes(b"1")
    third = weights(path=checkpoint)
    (checkpoint / "weights.bin").write_bytes(b"2")
    assert weights(path=checkpoint) != third
    named = load_encoder(f"{file}:Counts", LoadOptions(path=checkpoint))
    assert named.identity.model_id == "my-counts.Counts@checkpoint"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("Missing", SelectionError, "has no Missing.*Counts, Leaky"),
        ("NeedsACheckpoint", ModelError, "asks for name_model.*--path"),
        ("NeedsMore", ModelError, "asks for vocabulary"),
        ("Breaks", ModelError, "RuntimeError: out of luck"),
        ("Nothing", ModelError, "none of extract_embeddings"),
    ],
)
def test_what_cannot_run_is_one_error(
    name: str, error: type[Exception], words: str, file: Path
) -> None:
    with pytest.raises(error, match=words):
        load_encoder(f"{file}:{name}")


def test_files_that_fail_or_are_not_there(file: Path) -> None:
    with pytest.raises(SelectionError, match="there is no file"):
        load_encoder(f"{file.parent / 'absent.py'}:Counts")
    file.write_text("import no_such_package_anywhere\n")
    with pytest.raises(ModelError, match="ModuleNotFoundError"):
        load_encoder(f"{file}:Counts")


@pytest.mark.parametrize(
    "options",
    [{"weights": "random"}, {"dtype": "bfloat16"}, {"layer": 2}, {"pooling": "cls"}],
)
def test_what_an_object_decides_by_itself_cannot_be_asked_for(
    options: dict[str, Any], file: Path
) -> None:
    with pytest.raises(SelectionError, match=f"decides {next(iter(options))} by itself"):
        load_encoder(f"{file}:Counts", LoadOptions(**options))


class Lengths:
    """Any object with embed."""

    def embed(self, sequences: list[str]) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in sequences]


def test_any_object_with_embed() -> None:
    model = geneb_jax.load_model(Lengths())
    np.testing.assert_array_equal(model.embed(TEXTS), [[len(text), 1.0] for text in TEXTS])
    assert model.encoder.identity.model_id == "Lengths"
    first, second = (load_encoder(Lengths()).identity.weights for _ in range(2))
    assert first != second  # nothing tells two of them apart: nothing stored is used again
    kept = encoder_from_object(Lengths(), model_id="lengths", weights="v1").identity
    assert (kept.model_id, kept.weights) == ("lengths", "v1")


class Linear:
    """A torch model behind extract_embeddings."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = torch.nn.Linear(4, 3).to(torch.bfloat16)

    def extract_embeddings(self, sequences: list[str], batch_size: int = 1) -> torch.Tensor:
        return self.model(torch.tensor(counted(sequences)).to(torch.bfloat16))


def test_torch_modules_are_part_of_the_identity() -> None:
    first, again, other = (load_encoder(Linear(seed)) for seed in (0, 0, 1))
    assert first.identity == again.identity
    assert first.identity.weights != other.identity.weights
    assert first.parameter_count == 15
    # Rounding that goes with the shape of a batch is company too (F66).
    assert isinstance(first, ObjectEncoder)
    alone = np.concatenate([first.embed([text]) for text in TEXTS])
    assert first.embed(TEXTS).tobytes() == alone.tobytes()
    assert isinstance(first, ObjectEncoder)
    assert first.embed(TEXTS).dtype == np.float32


def test_an_extractor_runs_three_real_tasks(real_tasks: Path, tmp_path: Path) -> None:
    smallest = sorted(real_tasks.glob("*.csv.gz"), key=lambda file: file.stat().st_size)[:3]
    tasks = [file.name.removesuffix(".csv.gz") for file in smallest]
    file = tmp_path / "kmers.py"
    file.write_text(
        """
import itertools

import numpy as np

WORDS = {"".join(word): at for at, word in enumerate(itertools.product("ACGT", repeat=2))}


class Pairs:
    def __init__(self, name_model=None, device="cpu"):
        self.device = device

    def extract_embeddings(self, sequences, batch_size=8):
        rows = np.zeros((len(sequences), 16), np.float32)
        for row, text in zip(rows, sequences):
            for first, second in zip(text.upper(), text.upper()[1:]):
                if first + second in WORDS:
                    row[WORDS[first + second]] += 1
            row /= max(row.sum(), 1)
        return rows
"""
    )
    options = {
        "data_dir": real_tasks,
        "tasks": tasks,
        "regimes": ["1shot"],
        "store": tmp_path / "s",
    }
    outcome = geneb_jax.run([f"{file}:Pairs", "kmer-2"], out=tmp_path / "out", **options)
    assert outcome.complete
    rows = read_scores(outcome.out)
    scores = {(row.model_id, row.task_id, row.seed): row.mcc for row in rows}
    assert len(scores) == 2 * 3 * 5
    assert {key: mcc for key, mcc in scores.items() if key[0] == "kmers.Pairs"} == {
        ("kmers.Pairs", task, seed): scores["kmer-2", task, seed]
        for task in tasks
        for seed in (13, 17, 42, 123, 997)
    }
