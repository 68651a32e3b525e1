"""A signal far behind every model's context: who finds it, and in how much memory.

Run by the tests as ``python -m tests.embed.planted_signal MODEL LETTERS SEQUENCES FOLDER``, a
process a model. Prints JSON: MCC with windows and with truncation (scikit-learn, on held-out
sequences), peak memory in bytes, and the counts that belong to the rows.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef
from sklearn.preprocessing import StandardScaler

from geneb_jax.embed import embed_sequences, row_counts
from geneb_jax.models import Encoder, LoadOptions, load_encoder
from geneb_jax.models.context import with_policy

__all__ = ["MODELS", "found_by", "planted"]

MODELS = ("kmer-4", "esm", "hyenadna", "caduceus", "torch", "extractor")
#: Sequences of which the truncating side sees its few letters: chance is within 0.5 of them.
TRUNCATED = 120
#: Without a context there is nothing to truncate, and both sides read the same.
WHOLE = ("kmer-4",)
#: Letters that the extractor reads, as it would say in its own documentation.
_READS = 2000
_EXTRACTOR = '''
import numpy as np

class Pairs:
    """Frequencies of pairs of letters in the first {reads} letters; the rest it never sees."""

    def extract_embeddings(self, sequences, batch_size):
        pairs = [a + b for a in "ACGT" for b in "ACGT"]
        seen = [text[:{reads}] for text in sequences]
        return np.array([[s.count(p) / max(len(s), 1) for p in pairs] for s in seen], np.float32)
'''


def planted(sequences: int, letters: int, *, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Random sequences of two classes, and their labels.

    The last tenth of a sequence of class 1 is nearly all A.
    """
    generator = np.random.default_rng(seed)
    labels = np.arange(sequences) % 2
    at, span = letters * 9 // 10, letters // 10
    alphabet = np.frombuffer(b"ACGT", np.uint8)
    texts = []
    for label in labels.tolist():
        drawn = alphabet[generator.integers(0, 4, letters)]
        if label:
            drawn[at : at + span] = alphabet[generator.choice(4, span, p=[0.97, 0.01, 0.01, 0.01])]
        texts.append(drawn.tobytes().decode("ascii"))
    return texts, labels


def encoders(model: str, folder: Path) -> tuple[Encoder, Encoder]:
    """The model with windows and with truncation."""
    if model == "kmer-4":
        return load_encoder(model, LoadOptions(overlong="windows")), load_encoder(model)
    if model == "extractor":
        file = folder / "pairs.py"
        file.write_text(_EXTRACTOR.format(reads=_READS), encoding="utf-8")
        name = f"{file}:Pairs"
        return load_encoder(name, LoadOptions(overlong=f"windows:{_READS}")), load_encoder(name)
    if model == "torch":
        from tests.models.test_torch_adapter import write_folder

        name = f"torch:{write_folder('bert', folder / 'bert')}"
        return load_encoder(name, LoadOptions(overlong="windows")), load_encoder(name)
    from tests.models.test_encoder_contract import tiny_encoder

    sizes = {"esm": 400, "caduceus": 640, "hyenadna": 640}
    more = {"max_tokens": 642} if model == "hyenadna" else {}
    plain = tiny_encoder(model, limit=sizes[model], **more)
    return with_policy(plain, "windows"), plain


def found_by(model: str, letters: int, sequences: int, folder: Path) -> dict[str, object]:
    """What the two policies make of planted sequences; two thirds train the probe."""
    texts, labels = planted(max(sequences, TRUNCATED), letters)
    windows, plain = encoders(model, folder)
    found: dict[str, object] = {"windows": str(windows.overlong)}
    # What truncates reads little: it is given more rows, so that chance alone stays near 0.
    for name, encoder, count in (
        ("windows", windows, sequences),
        ("truncate", plain, len(texts) if model not in WHOLE else sequences),
    ):
        cut = 2 * count // 3
        rows = embed_sequences(encoder, texts[:count]).astype(np.float64)
        assert np.isfinite(rows).all()
        scaler = StandardScaler().fit(rows[:cut])
        probe = LogisticRegression(C=0.01, max_iter=2000)
        probe.fit(scaler.transform(rows[:cut]), labels[:cut])
        predicted = probe.predict(scaler.transform(rows[cut:count]))
        found[f"mcc_{name}"] = float(matthews_corrcoef(labels[cut:count], predicted))
        counts = row_counts(encoder, texts[:sequences])
        found[f"cut_bp_{name}"] = None if counts is None else int(counts.cut_bp.sum())
        found[f"windows_{name}"] = None if counts is None else int(counts.windows.sum())
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


if __name__ == "__main__":
    _model, _letters, _sequences, _folder = sys.argv[1:]
    print(json.dumps(found_by(_model, int(_letters), int(_sequences), Path(_folder))))
