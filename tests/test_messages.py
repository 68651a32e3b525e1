"""One message an error: whole sentences, each with one stop; a cause only where it is known."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.durable_files import write_text
from geneb_jax.embed import BatchMemoryError
from geneb_jax.errors import GenebError, NonFiniteError, OutputError
from geneb_jax.fleet import LostUnitsError
from geneb_jax.store.embedding_store import QuarantinedRowsError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GenebError("it is so"), "it is so."),
        (
            GenebError("it is so", where="here", hint="did you mean X?"),
            "here: it is so. did you mean X?",
        ),
        (GenebError("classes are 0, 1, ...", cause="a.", hint="b"), "classes are 0, 1, ... a. b."),
    ],
)
def test_sentences_are_joined_with_one_stop(error: GenebError, message: str) -> None:
    assert error.message == message


def test_a_name_without_an_end_is_shown_by_its_beginning_and_its_end() -> None:
    error = GenebError(f"{'x' * 9_000}y: unknown key", where="suite.toml", hint="z" * 9_000)
    assert error.message.startswith("suite.toml: xxx") and "xy: unknown key. zzz" in error.message
    assert len(error.message) < 3_100


def test_a_folder_where_a_file_belongs_is_not_called_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(OutputError, match="Is a directory") as caught:
        write_text(tmp_path / "scores.csv", "text")
    assert "full" not in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def _all_kinds(kind: type[GenebError]) -> list[type[GenebError]]:
    return [kind, *(one for below in kind.__subclasses__() for one in _all_kinds(below))]


def test_every_error_travels_between_processes() -> None:
    made = [
        BatchMemoryError("too much", where="m", smaller=512),
        NonFiniteError("bad", where="m", positions=np.arange(3)),
        QuarantinedRowsError(3, where="s", cause="bits"),
        LostUnitsError([("unit", "why")]),
        *(
            kind("what", where="w", cause="c", hint="h")
            for kind in _all_kinds(GenebError)
            if kind.__init__ is GenebError.__init__
        ),
    ]
    assert {type(error) for error in made} == set(_all_kinds(GenebError))
    for error in made:
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error)
        assert (back.message, str(back), set(vars(back))) == (
            error.message,
            str(error),
            set(vars(error)),
        )
