"""``--layers`` and lists of ``--pooling`` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

MODEL = "tiny-nt-v2"
TASK = ("-t", "simulated_promoters_tata", "--regime", "full")


def test_a_run_ends_with_a_table_by_layer(geneb: Any, tmp_path: Path) -> None:
    places = ("--out", tmp_path / "o", "--store", tmp_path / "s")
    asked = ("--layers", "0,4", "--pooling", "mean,max")
    answer = geneb("run", "--suite", "demo", "-m", MODEL, *TASK, *places, *asked)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    at = lines.index("layer\tmean\tmax")
    assert [line.split("\t")[0] for line in lines[at + 1 : at + 3]] == ["0", "last"]
    assert sum(line.count("*") for line in lines[at + 1 : at + 3]) == 1
    assert "by held-out training rows" in lines[at + 3]
    # The result is the layer that training rows chose, whatever is best on the test rows.
    (marked,) = (line for line in lines[at + 1 : at + 3] if "*" in line)
    score = next(cell for cell in marked.split("\t") if cell.endswith("*")).rstrip("*")
    (result,) = (line for line in lines if line.startswith("result: "))
    said = re.search(r"macro MCC (-?[0-9.]+)", result)
    assert said is not None and "the best of" not in result
    digits = len(said[1].partition(".")[2])  # as many as the interval warrants
    assert said[1] == f"{float(score):.{digits}f}"
    answer = geneb("run", "--suite", "demo", "-m", MODEL, *TASK, *places, *asked, "--json")
    (found,) = json.loads(answer.out)["layers"]
    assert [(one["layer"], one["pooling"]) for one in found["scores"]] == [
        (layer, pooling) for layer in (0, -1) for pooling in ("mean", "max")
    ]
    assert found["price"] == max(one["test"] for one in found["scores"]) - next(
        one["test"]
        for one in found["scores"]
        if {"layer": one["layer"], "pooling": one["pooling"]} == found["chosen"]
    )


def test_a_file_of_vectors_is_of_one_layer(geneb: Any, tmp_path: Path) -> None:
    texts, file = tmp_path / "a.fa", tmp_path / "a.npz"
    texts.write_text(">x\nACGTTGCA\n")
    command = ("embed", "-m", MODEL, texts, "--export", file, "--store", tmp_path / "s")
    answer = geneb(*command, "--layers", "all")
    assert answer.code == 2 and "one layer and one pooling" in answer.err
    answer = geneb(*command, "--layers", "1", "--pooling", "cls")
    assert answer.code == 0, answer.err
    facts = json.loads(str(np.load(file)["facts"]))
    assert '"layer": 1' in json.dumps(facts) and '"pooling": "cls"' in json.dumps(facts)
