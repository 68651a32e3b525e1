"""Twelve extractor modules in the benchmark's interface, with habits that are met in the wild."""

import numpy as np
import torch

from .base import BaseEmbeddingExtractor
from .letters import TABLE, encode, tokens


def batches(sequences, size):
    for first in range(0, len(sequences), size):
        yield sequences[first : first + size]


class MaskedMean(BaseEmbeddingExtractor):
    """Depends on the sequence alone."""

    def __init__(self, name_model="masked", device="cpu"):
        self.name_model, self.device = name_model, device

    def extract_embeddings(self, sequences, batch_size=8):
        return np.stack([tokens(text).mean(axis=0) for text in sequences])


class PaddedMean(MaskedMean):
    """Averages over padding: a row depends on the longest one of its batch."""

    def extract_embeddings(self, sequences, batch_size=8):
        rows = []
        for batch in batches(sequences, batch_size):
            longest = max(map(len, batch))
            rows += [
                (tokens(text).sum(axis=0) + 0.3 * (longest - len(text))) / longest for text in batch
            ]
        return np.array(rows)


class BatchNorm(MaskedMean):
    """Left in training mode: a row is normalised by its batch."""

    def __init__(self, name_model="norm", device="cpu"):
        super().__init__(name_model, device)
        torch.manual_seed(0)
        self.norm = torch.nn.BatchNorm1d(24, track_running_stats=False)

    def extract_embeddings(self, sequences, batch_size=8):
        rows = []
        for batch in batches(sequences, batch_size):
            X = torch.tensor(np.stack([tokens(text).mean(axis=0) for text in batch])).float()
            with torch.no_grad():
                rows.append(X if len(X) == 1 else self.norm(X))
        return torch.cat(rows)


class SortedUnrestored(MaskedMean):
    """Sorts by length and forgets to put the rows back."""

    def extract_embeddings(self, sequences, batch_size=8):
        order = sorted(range(len(sequences)), key=lambda at: (-len(sequences[at]), at))
        return np.stack([tokens(sequences[at]).mean(axis=0) for at in order])


class Carried(MaskedMean):
    """Carries a state from row to row, as a recurrent cache that is not reset."""

    def extract_embeddings(self, sequences, batch_size=8):
        state, rows = np.zeros(24), []
        for text in sequences:
            state = 0.5 * state + tokens(text).mean(axis=0)
            rows.append(state)
        return np.array(rows)


class Remembering(MaskedMean):
    """Counts its calls, and shows them."""

    calls = 0

    def extract_embeddings(self, sequences, batch_size=8):
        self.calls += 1
        return np.stack([tokens(text).mean(axis=0) for text in sequences]) + 0.1 * self.calls


class HalfPrecision(MaskedMean):
    def extract_embeddings(self, sequences, batch_size=8):
        return super().extract_embeddings(sequences, batch_size).astype(np.float16)


class Lists(MaskedMean):
    def extract_embeddings(self, sequences, batch_size=8):
        return [row.tolist() for row in super().extract_embeddings(sequences, batch_size)]


class Tensors(MaskedMean):
    """A torch network; gives a tensor of bfloat16 that still has its graph."""

    def __init__(self, name_model="net", device="cpu"):
        super().__init__(name_model, device)
        torch.manual_seed(1)
        self.model = torch.nn.Embedding(125, 16)

    def extract_embeddings(self, sequences, batch_size=8):
        rows = [self.model(torch.tensor(encode(text))).mean(0) for text in sequences]
        return torch.stack(rows).to(torch.bfloat16)


class FirstOfBatch(MaskedMean):
    """Centres a batch on its first row."""

    def extract_embeddings(self, sequences, batch_size=8):
        rows = []
        for batch in batches(sequences, batch_size):
            X = np.stack([tokens(text).max(axis=0) for text in batch])
            rows.append(X - 0.5 * X[:1])
        return np.concatenate(rows)


class SplitCentred(MaskedMean):
    """Centres all rows of a call, so train and test each on their own mean."""

    def extract_embeddings(self, seqs, batch_size=1):
        X = super().extract_embeddings(list(seqs), batch_size)
        return X - X.mean(axis=0)


class Deduplicated(MaskedMean):
    """Gives a repeat another row than its first occurrence."""

    def extract_embeddings(self, sequences, batch_size=8):
        seen, rows = set(), []
        for text in sequences:
            rows.append(tokens(text).mean(axis=0) * (0.5 if text in seen else 1.0))
            seen.add(text)
        return np.asarray(rows, dtype=np.float64) + 0 * TABLE[0]
