"""docs/your-own-tasks.md: every command is run, the example of suite.toml is loaded."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import command
from tests.layouts import published_layouts as layouts
from tests.layouts.published_layouts import Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your-own-tasks.md"
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_command_of_the_page_works(
    rows: tuple[Row, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{row.text},{row.label},{row.split}\n" for row in rows]
    for name in ("my_tasks/promoters.csv", "unsplit.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text,label,split\n" + "".join(lines))
    unsplit = ["sequence,label\n", *(f"{row.text},{row.label}\n" for row in rows)]
    (tmp_path / "unsplit.csv").write_text("".join(unsplit))
    layouts.gue(tmp_path / "GUE", rows)
    layouts.nt_parquet(tmp_path / "nucleotide_transformer_downstream_tasks", rows)
    layouts.genomic_benchmarks(tmp_path / "genomic_benchmarks", rows)
    layouts.interval_lists(tmp_path / "interval_lists", rows)
    (tmp_path / "genomes" / "genome.fa").rename(tmp_path / "genome.fa")
    layouts.omnigenbench(tmp_path / "RGB", rows)
    layouts.plant_genomic_benchmark(tmp_path / "plant-genomic-benchmark", rows)
    layouts.bend(tmp_path / "bend", rows)
    layouts.dnalongbench(tmp_path / "dnalongbench", rows)
    layouts.plain_table(tmp_path / "tables", rows)
    (tmp_path / "tables" / "promoters.tsv").rename(tmp_path / "table.tsv")
    layouts.fasta_and_table(tmp_path / "sequences", rows)
    commands = [
        shlex.split(line)[1:]
        for language, block in BLOCKS
        if language == "sh"
        for line in block.splitlines()
    ]
    assert len(commands) == 16
    for arguments in commands:
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert result.exit_code == 0, (arguments, result.output)


def test_the_example_of_suite_toml_is_one(tmp_path: Path) -> None:
    (block,) = [block for language, block in BLOCKS if language == "toml"]
    (tmp_path / "suite.toml").write_text(block, encoding="utf-8")
    suite = load_suite(tmp_path)
    assert suite.folder == tmp_path / "suite-tasks"
    assert suite.protocol == load_suite("geneb").protocol
    assert suite.tasks[0].classes == ("silent", "active")
