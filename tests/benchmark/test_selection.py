"""Choosing tasks and regimes: ids, globs, categories, near matches, order."""

from __future__ import annotations

import pytest

from geneb_jax.benchmark import Suite, load_suite, near_matches, select_regimes, select_tasks
from geneb_jax.errors import SelectionError


@pytest.fixture(scope="module")
def geneb() -> Suite:
    return load_suite("geneb")


def ids(suite: Suite, *patterns: str) -> list[str]:
    return [task.task_id for task in select_tasks(suite, patterns)]


def test_no_patterns_choose_everything(geneb: Suite) -> None:
    assert select_tasks(geneb, ()) == geneb.tasks


def test_id_glob_and_category(geneb: Suite) -> None:
    assert ids(geneb, "iDHS-EL_DNase_I") == ["iDHS-EL_DNase_I"]
    assert ids(geneb, "leannmlindsey_GUE_mouse_?") == [
        f"leannmlindsey_GUE_mouse_{number}" for number in range(5)
    ]
    assert ids(geneb, "*_mouse_[02]") == ["leannmlindsey_GUE_mouse_0", "leannmlindsey_GUE_mouse_2"]
    assert len(ids(geneb, "category:Promoters")) == 22
    assert ids(geneb, "category:dna methyl.") == ids(geneb, "CATEGORY:DNA Methyl.")
    assert len(ids(geneb, "category:*")) == 100


def test_order_is_the_suites_and_nothing_comes_twice(geneb: Suite) -> None:
    chosen = ids(geneb, "iDHS-EL_DNase_I", "category:Splice Sites", "*splice*", "*_H3")
    order = [task.task_id for task in geneb.tasks]
    assert chosen == sorted(set(chosen), key=order.index)
    assert chosen[-1] == "iDHS-EL_DNase_I"


@pytest.mark.parametrize(
    ("pattern", "suggestion"),
    [
        ("iDHS-EL_DNase_1", "iDHS-EL_DNase_I"),
        ("idhs-el_dnase_i", "iDHS-EL_DNase_I"),
        ("virus_covid", "leannmlindsey_GUE_virus_covid"),
        ("category:promotors", "Promoters"),
        ("category:splice", "Splice Sites"),
        ("no_such_*", "list tasks"),
        ("../x", "list tasks"),
        ("", "list tasks"),
    ],
)
def test_unknown_names_are_refused_with_near_matches(
    geneb: Suite, pattern: str, suggestion: str
) -> None:
    with pytest.raises(SelectionError) as caught:
        select_tasks(geneb, [pattern])
    assert suggestion in caught.value.message
    assert caught.value.exit_code == 2


def test_regimes(geneb: Suite) -> None:
    assert select_regimes(geneb, ()) == geneb.protocol.regimes
    assert [regime.name for regime in select_regimes(geneb, ["1shot", "FULL"])] == ["full", "1shot"]
    with pytest.raises(SelectionError, match="did you mean '10shot'"):
        select_regimes(geneb, ["10-shot"])


def test_near_matches_are_bounded_and_ordered() -> None:
    known = ["H3K4me1", "H3K4me2", "H3K4me3", "H3K9ac", "H4"]
    assert near_matches("h3k4me2", known, limit=1) == ("H3K4me2",)
    assert len(near_matches("H3K4me", known)) == 3
    assert near_matches("zzz", known) == ()
