"""Bytes of users and hubs: tasks, suites, run files, models, sequences, JSON, answers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

from geneb_jax.benchmark import Task, load_suite
from geneb_jax.errors import GenebError
from tests.fuzz.hostile_bytes import damaged_json
from tests.fuzz.target import Target, packed, text, toml, written

__all__ = ["TARGETS"]

_CSV = b"text,label,split\n" + b"".join(
    b"%b,%d,%b\n" % (b"ACGTN"[at % 4 :] * 3, at % 3, b"train" if at % 4 else b"test")
    for at in range(16)
)
_TASK = Task("toy", "Toy", "Toys")
_SUITE = b"""name = "toy"
title = "Toy"
simulated = true
files = "data"
notes = ["one", "two"]
tasks = [
  { id = "one", category = "A", label = "One", test_rows = 4, classes = ["no", "yes"] },
  { id = "two", category = "B" },
]
[dataset]
repository = "org/name"
revision = "0123456789012345678901234567890123456789"
[protocol]
seeds = [1, 2]
C = 1.0
max_iter = 100
tol = 1e-4
regimes = [{ name = "full" }, { name = "1shot", shots = 1 }]
"""
_RUN = b"""model = ["kmer-2", "kmer-4"]
data_dir = "tasks"
task = ["category:One"]
regime = ["full"]
C = [0.1, 1.0]
seed = [1, 2]
out = "out"
store = "store"
offline = true
dtype = "float32"
layers = [0, -1]
pooling = "mean"
batch_tokens = 4096
overlong = "windows:512:256"
part = "1/2"
"""


def _read_csv(folder: Path, content: bytes, name: str = "toy.csv") -> None:
    from geneb_jax.data import TaskSource, read_task

    place = folder / name.replace(".", "-")
    place.mkdir(exist_ok=True)
    written(place, name, content)
    table = read_task(_TASK, TaskSource(place))
    assert len(table.train_sequences) == len(table.train_labels) > 1


def _read_csv_gz(folder: Path, content: bytes) -> None:
    _read_csv(folder, content, "toy.csv.gz")


def _read_suite(folder: Path, content: bytes) -> None:
    written(folder, "suite.toml", content)
    load_suite(folder)


def _read_run_file(folder: Path, content: bytes) -> None:
    from geneb_jax.runs.request import request_from_toml

    request_from_toml(written(folder, "run.toml", content), {})


def _spec_seeds(folder: Path) -> list[bytes]:
    from geneb_jax.resources import config_folder

    models = Path(str(config_folder() / "models"))
    return [path.read_bytes() for path in sorted(models.rglob("*.toml"))]


def _read_spec(folder: Path, content: bytes) -> None:
    from geneb_jax.models.spec import read_spec

    read_spec(content.decode("utf-8", "replace"), where="model.toml")


def _read_sequences(folder: Path, content: bytes) -> None:
    from geneb_jax.data.sequence_files import read_sequences

    for name in ("x.fa", "x.csv", "x.txt"):
        try:
            for one in read_sequences(written(folder, name, content), {}):
                assert one.text
        except GenebError as error:
            assert "\n" not in error.message


def _json_seeds(folder: Path) -> list[bytes]:
    document = {"a": [1, 2.5, None, True, {"b": "c\u00e9\\"}], "d": {"e": {}}, "f": "\ud83d\ude00"}
    return [json.dumps(document).encode(), b'[["x", {"y": []}]]']


def _read_json(folder: Path, content: bytes) -> None:
    from geneb_jax.strict_json import parse_json

    assert parse_json(content) == json.loads(content)


def _hub_seeds(folder: Path) -> list[bytes]:
    commit = "0123456789012345678901234567890123456789"
    files = [{"rfilename": "config.json", "size": 3, "blobId": commit}]
    return [json.dumps({"id": "org/small", "sha": commit, "siblings": files}).encode()]


def _read_hub_answer(folder: Path, content: bytes) -> None:
    from geneb_jax.data.hub_answers import _look

    stated = {"etag": content[-60:].decode("latin-1"), "x-repo-commit": "0" * 40}
    for headers in ({}, stated):
        answer = SimpleNamespace(
            headers=headers,
            url=SimpleNamespace(path="/api/models/org/small/revision/main"),
            status_code=200,
            request=SimpleNamespace(method="GET"),
            read=lambda: content,
        )
        try:
            _look(answer)
        except GenebError as error:
            assert "\n" not in error.message


_FASTA = b">one a\nACGT\nNNAC\n\n>two\nacgu\n"

TARGETS: dict[str, Target] = {
    "task csv": Target(lambda _: [_CSV], _read_csv, text),
    "task csv.gz": Target(lambda _: [gzip.compress(_CSV, 1)], _read_csv_gz, packed),
    "suite.toml": Target(lambda _: [_SUITE], _read_suite, toml),
    "run toml": Target(lambda _: [_RUN], _read_run_file, toml),
    "model toml": Target(_spec_seeds, _read_spec, toml),
    "sequences": Target(lambda _: [_FASTA, _CSV, b"ACGT\nAC\n"], _read_sequences, text),
    "json": Target(_json_seeds, _read_json, damaged_json, (ValueError,)),
    "hub answer": Target(_hub_seeds, _read_hub_answer, damaged_json),
}
