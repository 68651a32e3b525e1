"""A GENEB extractor called as the benchmark's harness calls it: a whole split at a time.

What some published extractors give for a sequence depends on its batch (padding that is averaged,
rows out of order). Their published scores are made of such rows, so they can be had on request;
everywhere else such an extractor runs one sequence at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from geneb_jax.errors import ModelError, SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.object_adapter import (
    TRIAL,
    make_from_file,
    parameter_count,
    rows_of,
)
from geneb_jax.models.adapters.user_file import construct, split_file_class
from geneb_jax.models.encoder import Encoder
from geneb_jax.models.load_options import LoadOptions

__all__ = ["HarnessEncoder", "load_as_harness"]


class HarnessEncoder(Encoder):
    """An extractor and the batch size it is called with.

    It is made anew when the first split is extracted, so that the trial call which tells its width
    leaves no trace; what it then remembers from split to split, it remembers as in the harness.

    Args:
        make: Makes the extractor.
        identity: With the batch size; rows belong to (task files, split, place), not to sequences.
        width: Length of one embedding.
        parameter_count: None where it is not known.
    """

    def __init__(
        self,
        *,
        make: Callable[[], Any],
        identity: EncoderIdentity,
        width: int,
        parameter_count: int | None,
    ) -> None:
        self._make = make
        self._identity = identity
        self._width = width
        self._parameter_count = parameter_count
        self._extractor: Any = None

    @property
    def identity(self) -> EncoderIdentity:
        """Who makes the rows."""
        return self._identity

    @property
    def width(self) -> int:
        """Length of one embedding."""
        return self._width

    @property
    def parameter_count(self) -> int | None:
        """Number of parameters of the torch modules that the extractor holds, None without any."""
        return self._parameter_count

    def split_rows(self, sequences: Sequence[str]) -> np.ndarray:
        """The extractor's own rows of a split, float32 ``[len(sequences), width]``.

        One call with the sequences as they are: in the file's order, repeats included.

        Raises:
            ModelError: if it fails, or gives another number of rows or columns.
        """
        if self._extractor is None:
            self._extractor = self._make()
        size = self._identity.harness_batch
        where = self._identity.model_id
        rows = rows_of(self._extractor.extract_embeddings, list(sequences), size, where=where)
        if rows.shape[1] != self._width:
            raise ModelError(f"gave {rows.shape[1]} columns, {self._width} on a trial", where=where)
        return rows


def load_as_harness(name: str, options: LoadOptions, batch_size: int) -> HarnessEncoder:
    """An extractor module ``path.py:Class`` as the harness would call it.

    Raises:
        SelectionError: for a model of another kind, or options that a module cannot honour.
        ModelError: if the extractor cannot be made, or fails on a trial.
    """
    named = split_file_class(name)
    if named is None:
        raise SelectionError(
            f"{name} cannot run as in the harness",
            where="--as-harness",
            cause="only an extractor's own code knows what its batches do to a row; models that "
            "run natively or through torch: mask all padding, so that batches change nothing",
            hint="give the benchmark's extractor module, -m extractors/NAME.py:CLASS with --path "
            "WEIGHTS, or leave --as-harness out",
        )
    own = LoadOptions()
    differing = [
        option
        for option in ("weights", "dtype", "layer", "pooling", "allow_remote_code")
        if getattr(own, option) != getattr(options, option)
    ]
    if differing:
        raise SelectionError(f"{name} decides {', '.join(differing)} by itself")
    name_model = None if options.path is None else str(options.path)
    made = make_from_file(*named, name_model=name_model, trial=partial(_width, name, batch_size))

    def make() -> Any:
        made.require_same_files()
        return construct(*named, name_model=name_model)

    identity = EncoderIdentity(
        model_id=made.label,
        revision="local",
        weights=made.weights,
        tokenizer="its own",
        pooling="its own",
        layer=-1,
        dtype="its own",
        code=f"object/{type(made.model).__name__}/2",
    ).as_harness(batch_size)
    return HarnessEncoder(
        make=make,
        identity=identity,
        width=made.tried,
        parameter_count=parameter_count(made.model),
    )


def _width(name: str, batch_size: int, model: Any) -> int:
    """Columns of the model's rows, by a trial."""
    if not callable(getattr(model, "extract_embeddings", None)):
        raise ModelError(
            "has no extract_embeddings(sequences, batch_size)",
            where=name,
            hint="--as-harness calls this method of the harness's interface",
        )
    return rows_of(model.extract_embeddings, list(TRIAL), batch_size, where=name).shape[1]
