"""The command line starts light, names near matches, and leaves with the documented codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from geneb_jax.benchmark import load_suite
from tests.kept_runs import write_kept_run

HEAVY = ("jax", "torch", "transformers", "tensorstore", "flax", "scipy", "matplotlib")


def _run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geneb_jax", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list", "tasks"], ["run", "--help"]]
)
def test_light_verbs_load_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import json, sys\n"
        "from geneb_jax.cli.main import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(outcome.stderr.splitlines()[-1]) == []


def test_help_of_every_verb_loads_nothing_that_checks_or_computes() -> None:
    program = (
        "import sys\n"
        "from geneb_jax.cli.main import VERBS, main\n"
        "for verb in VERBS:\n"
        "    try:\n"
        "        main([verb, '--help'])\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, (verb, stop.code)\n"
        f"heavy = {(*HEAVY, 'pydantic', 'rich', 'huggingface_hub')!r}\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert outcome.stderr.splitlines()[-1] == "[]"


def test_statistics_and_reports_need_no_engine(tmp_path: Path) -> None:
    """Where JAX, its company and torch cannot even be imported."""
    suite = load_suite("demo")
    write_kept_run(tmp_path / "out", suite, {"mine": 0.6}, rows=20, leaked=2)
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('jax', 'jaxlib', 'flax', 'optax', 'orbax',\n"
        "                                      'torch', 'transformers', 'tensorstore'):\n"
        "            raise ImportError(f'{name} is absent')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from geneb_jax.cli.main import main\n"
        "for words in ('stats', 'stats out', 'report out', 'compare MutBERT GROVER',\n"
        "              'recommend --category Promoters', 'list models'):\n"
        "    try:\n"
        "        main(words.split())\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, words\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=240, cwd=tmp_path,
        check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_an_unknown_verb_names_near_ones() -> None:
    outcome = _run("rnu")
    assert outcome.returncode == 2
    assert "Did you mean run?" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "-m", "kmer-44", "--suite", "demo"], "kmer-4"),
        (["run", "-m", "kmer-1", "--suite", "demo", "-t", "simulated_promoter"], "did you mean"),
        (["run", "-m", "kmer-1", "--suite", "demo", "-t", "category:Promoter"], "Promoters"),
        (["run", "-m", "kmer-1", "--suite", "demo", "--regime", "5shot"], "full, 10shot, 1shot"),
        (["run", "-m", "kmer-1", "--data-dir", "no-such-folder"], "no-such-folder"),
        (["run", "-m", "kmer-1", "--suite", "demo", "--C", "0"], "C must be"),
        (["run", "-m", "kmer-1", "--suite", "demo", "--C", "one"], "is not a number"),
        (["run", "--config", "no-such.toml"], "no such run file"),
    ],
)
def test_bad_usage_is_one_message_and_exit_2(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    outcome = _run(*arguments, "--out", str(tmp_path / "out"))
    assert outcome.returncode == 2, outcome.stderr
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "out" / "scores.csv").exists()


@pytest.mark.fault("F05")
def test_an_unwritable_out_is_refused_before_any_work(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    outcome = _run("run", "-m", "kmer-1", "--suite", "demo", "--out", str(blocked / "out"))
    assert outcome.returncode == 2
    assert "--out" in outcome.stderr
    assert "Traceback" not in outcome.stderr
