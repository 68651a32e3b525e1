"""One message an error: whole sentences, each with one stop; a cause only where it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from geneb_jax.durable_files import write_text
from geneb_jax.errors import GenebError, OutputError


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


def test_a_folder_where_a_file_belongs_is_not_called_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(OutputError, match="Is a directory") as caught:
        write_text(tmp_path / "scores.csv", "text")
    assert "full" not in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
