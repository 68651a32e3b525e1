"""A label says what sets a model apart, and no two identities ever share one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.errors import SelectionError
from geneb_jax.identity import EncoderIdentity, weights_column
from geneb_jax.results.labels import labels_of, require_label, variant_of
from geneb_jax.results.model_facts import ModelFacts, with_variant

USUAL = EncoderIdentity("net", "local", "ab" * 32, "t", "mean", -1, "float32", "net/1")


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({}, "net"),
        ({"revision": "random:0", "weights": "random:0"}, "net (untrained)"),
        ({"revision": "random:3", "weights": "random:3"}, "net (untrained seed 3)"),
        ({"revision": "built-in", "weights": "random:0"}, "net"),
        ({"layer": 6}, "net @layer 6"),
        ({"layer": 0, "pooling": "cls"}, "net @layer 0 cls"),
        ({"dtype": "bfloat16"}, "net bf16"),
        ({"dtype": "float16"}, "net fp16"),
        (
            {"revision": "random:0", "layer": 6, "pooling": "cls", "dtype": "bfloat16"},
            "net (untrained) @layer 6 cls bf16",
        ),
    ],
)
def test_a_label_says_what_sets_a_variant_apart(values: dict[str, object], label: str) -> None:
    identity = replace(USUAL, **values)
    assert with_variant("net", variant_of(identity, own_pooling="mean")) == label


def test_a_model_without_a_choice_of_pooling_has_none_in_its_label() -> None:
    assert variant_of(replace(USUAL, pooling="its own"), own_pooling=None) == ()


def test_only_those_who_would_share_a_label_are_marked() -> None:
    wanted = {"aaaaaaaa": "net", "aaaaaabb": "net", "bbbbbbbb": "Net", "cccccccc": "other"}
    assert labels_of(wanted) == {
        "aaaaaaaa": "net #aaaaaaaa",
        "aaaaaabb": "net #aaaaaabb",
        "bbbbbbbb": "Net #bbbbbb",
        "cccccccc": "other",
    }


def test_a_name_that_looks_like_a_marked_label_is_told_from_it() -> None:
    wanted = {"aaaaaa00": "net", "bbbbbb00": "net", "cccccc00": "net #aaaaaa"}
    assert labels_of(wanted) == {
        "aaaaaa00": "net #aaaaaa00",
        "bbbbbb00": "net #bbbbbb",
        "cccccc00": "net #aaaaaa #cccccc",
    }


@given(
    st.dictionaries(
        st.text("0123456789abcdef", min_size=8, max_size=8), st.sampled_from(["a", "A", "b c"])
    )
)
def test_labels_are_distinct_and_do_not_depend_on_the_order(wanted: dict[str, str]) -> None:
    labels = labels_of(wanted)
    assert len({label.casefold() for label in labels.values()}) == len(wanted)
    assert labels_of(dict(reversed(wanted.items()))) == labels


@pytest.mark.parametrize("label", ["", " a", "a\n", "\x1b[31mred", "x" * 121])
def test_a_name_that_no_table_can_show_is_refused(label: str) -> None:
    with pytest.raises(SelectionError, match="--name"):
        require_label(label)


def test_kinds_of_weights() -> None:
    assert [weights_column(w) for w in ("none", "random:4", "ab" * 32)] == [
        "none",
        "random:4",
        "pretrained",
    ]


def test_an_identity_is_its_fields_and_a_later_empty_one_changes_nothing() -> None:
    assert replace(USUAL, config="").digest == USUAL.digest
    assert replace(USUAL, config="x").digest != USUAL.digest
    assert USUAL.short == USUAL.digest[:8]


@pytest.mark.parametrize(
    ("label", "display", "variant", "title"),
    [
        ("tiny", "Tiny NT", (), "Tiny NT"),
        ("tiny (untrained)", "Tiny NT", ("untrained",), "Tiny NT (untrained)"),
        ("tiny (untrained)", "Tiny NT (untrained)", ("untrained",), "Tiny NT (untrained)"),
        ("tiny cls #a1b2c3", "Tiny NT", ("cls",), "Tiny NT cls #a1b2c3"),
        ("mine", "Tiny NT", ("cls",), "mine"),
        ("mine #a1b2c3", "Tiny NT", (), "mine #a1b2c3"),
    ],
)
def test_a_title_tells_apart_what_labels_tell_apart(
    label: str, display: str, variant: tuple[str, ...], title: str
) -> None:
    facts = ModelFacts(label=label, name="tiny", display=display, variant=variant)
    assert facts.title == title
