"""Suites: the shipped definition, suites of the user's own, and what a suite file may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from geneb_jax.benchmark import SUITE_FILE, builtin_suites, load_suite
from geneb_jax.errors import ConfigError, SelectionError

MINIMAL = """
name = "mine"
title = "My tasks"
tasks = [
  { id = "first", category = "A" },
  { id = "second", label = "Second", category = "B" },
]
"""


def write_suite(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUITE_FILE).write_text(text, encoding="utf-8")
    return folder


def test_geneb_has_the_papers_tasks_and_protocol() -> None:
    suite = load_suite("geneb")
    assert len(suite.tasks) == 100
    assert len({task.task_id for task in suite.tasks}) == 100
    # Category sizes of the paper, section on tasks, in the specification's order.
    sizes = {name: 0 for name in suite.categories}
    for task in suite.tasks:
        sizes[task.category] += 1
    assert sizes == {
        "Histone Mod.": 30, "Promoters": 22, "Enhancers": 8, "DNA Methyl.": 8, "Splice Sites": 7,
        "lncRNA": 6, "Mouse Enh.": 5, "TF Binding": 5, "Species Clf.": 3, "Regulatory": 2,
        "Virus/Phage": 2, "Coding/NC": 1, "Chromatin Acc.": 1,
    }  # fmt: skip
    assert [(regime.name, regime.shots) for regime in suite.protocol.regimes] == [
        ("full", None), ("10shot", 10), ("1shot", 1),
    ]  # fmt: skip
    assert suite.protocol.seeds == (13, 17, 42, 123, 997)
    assert (suite.protocol.C, suite.protocol.max_iter, suite.protocol.tol) == (1.0, 1000, 1e-4)
    assert suite.harness_version == "GENEB-0.1.0"
    assert suite.dataset is not None
    assert suite.dataset.repository == "DeepPavlov/geneb-tasks"
    assert suite.dataset.revision == "4edd705be573e48c585c2cf79dc320f9f43c7b04"
    assert suite.folder is None
    assert not suite.simulated


def test_geneb_covers_every_real_task_file(real_tasks: Path) -> None:
    known = {task.task_id for task in load_suite("geneb").tasks}
    files = {path.name.removesuffix(".csv.gz") for path in real_tasks.glob("*.csv.gz")}
    assert files
    assert files <= known


def test_builtin_suites_load() -> None:
    assert "geneb" in builtin_suites()
    for name in builtin_suites():
        assert load_suite(name).name == name


def test_folder_is_a_suite(tmp_path: Path) -> None:
    suite = load_suite(write_suite(tmp_path / "mine", MINIMAL))
    assert suite.folder == tmp_path / "mine"
    assert [task.label for task in suite.tasks] == ["first", "Second"]
    assert suite.categories == ("A", "B")
    # Left unsaid, the protocol is the benchmark's.
    assert suite.protocol == load_suite("geneb").protocol
    assert load_suite(str(tmp_path / "mine")) == suite
    assert load_suite(tmp_path / "mine" / SUITE_FILE) == suite


def test_all_fields_are_read(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """
    [dataset]
    repository = "org/name"
    revision = "0123456789abcdef0123456789abcdef01234567"
    [protocol]
    regimes = [{ name = "5shot", shots = 5 }]
    seeds = [1, 2]
    C = 10
    max_iter = 50
    tol = 1e-6
    """
    )
    text = 'harness_version = "X-1"\nsimulated = true\nnotes = ["n"]\n' + text
    suite = load_suite(write_suite(tmp_path, text))
    assert (suite.simulated, suite.notes, suite.harness_version) == (True, ("n",), "X-1")
    assert suite.protocol.regimes[0].shots == 5
    assert suite.protocol.regimes[0].seeded
    assert (suite.protocol.C, suite.protocol.max_iter, suite.protocol.tol) == (10.0, 50, 1e-6)


@pytest.mark.parametrize(
    ("addition", "complaint"),
    [
        ("extra = 1", "extra: unknown key"),
        ("[protocol]\nsolver = 'x'", "protocol.solver: unknown key"),
        ("[protocol]\nC = 0.0", "protocol.C"),
        ("[protocol]\nC = nan", "protocol.C"),
        ("[protocol]\nC = inf", "protocol.C"),
        ("[protocol]\ntol = '1e-4'", "protocol.tol"),
        ("[protocol]\nmax_iter = -1", "protocol.max_iter"),
        ("[protocol]\nmax_iter = true", "protocol.max_iter"),
        ("[protocol]\nseeds = []", "protocol.seeds"),
        ("[protocol]\nseeds = [1, 1]", "seed '1' appears twice"),
        ("[protocol]\nseeds = [4294967296]", "protocol.seeds.0"),
        ("[protocol]\nregimes = []", "protocol.regimes"),
        ("[protocol]\nregimes = [{name='a/b'}]", "protocol.regimes.0.name"),
        ("[protocol]\nregimes = [{name='k', shots=0}]", "protocol.regimes.0.shots"),
        ("[protocol]\nregimes = [{name='f'}, {name='F'}]", "differs only in case"),
        ("[dataset]\nrepository = 'a/b'\nrevision = 'main'", "dataset.revision"),
        ("[dataset]\nrepository = '../x/y'\nrevision = '" + "0" * 40 + "'", "dataset.repository"),
        ("[[tasks]]", "not valid TOML"),
        ("name = 'again'", "not valid TOML"),
    ],
)  # fmt: skip
@pytest.mark.fault("F38")
def test_impossible_values_are_refused(tmp_path: Path, addition: str, complaint: str) -> None:
    folder = write_suite(tmp_path, MINIMAL + addition)
    with pytest.raises(ConfigError) as caught:
        load_suite(folder)
    assert complaint in caught.value.message
    assert str(folder / SUITE_FILE) in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("tasks", "complaint"),
    [
        ("[]", "tasks"),
        ("[{ id = 'a' }]", "tasks.0.category"),
        ("[{ id = 'a', category = '' }]", "tasks.0.category"),
        ("[{ id = 'a', category = 'A', extra = 1 }]", "tasks.0.extra: unknown key"),
        ("[{ id = 1, category = 'A' }]", "tasks.0.id"),
        ("[{ id = '../x', category = 'A' }]", "'../x'"),
        ("[{ id = 'a', category = 'A' }, { id = 'a', category = 'A' }]", "'a' appears twice"),
        ("[{ id = 'a', category = 'A' }, { id = 'A', category = 'A' }]", "differs only in case"),
        ("[{ id = 'a', category = 'A' }, { id = 'b', category = 'a' }]", "also spelled 'A'"),
    ],
)
@pytest.mark.fault("F32", "F33")
def test_impossible_tasks_are_refused(tmp_path: Path, tasks: str, complaint: str) -> None:
    folder = write_suite(tmp_path, f"name = 'x'\ntitle = 'X'\ntasks = {tasks}\n")
    with pytest.raises(ConfigError) as caught:
        load_suite(folder)
    assert complaint in caught.value.message


@pytest.mark.fault("F38")
def test_unreadable_suite_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / SUITE_FILE).write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_suite(tmp_path)
    (tmp_path / SUITE_FILE).write_text("a = " + "[" * 5000)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_suite(tmp_path)


def test_missing_suites_name_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="geneb"):
        load_suite("genebb")
    with pytest.raises(SelectionError, match=r"has no suite\.toml"):
        load_suite(tmp_path)
