"""What is known of a model: labels, titles, speeds, and names that cannot drive a terminal."""

from __future__ import annotations

import subprocess
import sys

import pytest

from geneb_jax.identity import EncoderIdentity
from geneb_jax.results import EmbeddingFacts, ModelFacts, weights_kind, with_variant

IDENTITY = EncoderIdentity("a", "local", "ab", "cd", "mean", -1, "float32", "nt 1")


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ((), "tiny-nt-v1"),
        (("untrained",), "tiny-nt-v1 (untrained)"),
        (("@layer 6",), "tiny-nt-v1 @layer 6"),
        (("untrained", "@layer 6", "cls", "bf16"), "tiny-nt-v1 (untrained) @layer 6 cls bf16"),
        (("#a1b2c3", "run 2"), "tiny-nt-v1 #a1b2c3 (run 2)"),
    ],
)
def test_a_variant_is_part_of_the_title(variant: tuple[str, ...], expected: str) -> None:
    assert with_variant("tiny-nt-v1", variant) == expected
    facts = ModelFacts(expected, "Tiny NT", name="tiny-nt-v1", variant=variant)
    assert facts.title == expected.replace("tiny-nt-v1", "Tiny NT")
    # Without a displayed name the title is no longer than it need be.
    assert ModelFacts(expected, name="tiny-nt-v1", variant=variant).title == expected
    assert ModelFacts("of the user", "Tiny NT", name="a", variant=variant).title == "of the user"


@pytest.mark.parametrize(
    ("weights", "kind"),
    [("random:7", "random"), ("random", "random"), ("none", "none"), ("ab" * 32, "pretrained")],
)
def test_the_kind_of_weights_is_read_from_the_identity(weights: str, kind: str) -> None:
    assert weights_kind(weights) == kind


@pytest.mark.fault("F39")
def test_names_lose_what_could_drive_a_terminal() -> None:
    label = "a\x1b[31m \x9b1m"
    facts = ModelFacts(
        label, "A\u202e red", name="a\x1b[31m", architecture="\x07", variant=("\x9b1m",)
    )
    assert (facts.label, facts.display) == ("a\ufffd[31m \ufffd1m", "A\ufffd red")
    assert (facts.architecture, facts.title) == ("\ufffd", "A\ufffd red \ufffd1m")
    with pytest.raises(ValueError, match="no label"):
        ModelFacts("")


def test_the_identity_gives_the_digits_of_the_table() -> None:
    assert ModelFacts("a", identity=IDENTITY).identity_short == IDENTITY.digest[:8]
    assert ModelFacts("a", identity_short="0123abcd").identity_short == "0123abcd"


def test_speeds_are_of_what_was_embedded() -> None:
    facts = ModelFacts("a", embedding=EmbeddingFacts(50, 3, tokens=600, seconds=4.0))
    assert (facts.sequences_per_second, facts.tokens_per_second) == (12.5, 150.0)
    for idle in (None, EmbeddingFacts(0, 53), EmbeddingFacts(0, 53, seconds=1.0)):
        assert ModelFacts("a", embedding=idle).sequences_per_second is None
        assert ModelFacts("a", embedding=idle).tokens_per_second is None


def test_a_number_is_not_a_truth_value() -> None:
    content = ModelFacts("a", params=5).as_dict()
    assert ModelFacts.from_dict(content).params == 5
    for wrong in (True, 5.5, "5", -1):
        with pytest.raises(ValueError, match=r"params|parameters"):
            ModelFacts.from_dict(content | {"params": wrong})


def test_facts_are_known_without_jax() -> None:
    program = "import sys, geneb_jax.results.model_facts\nprint('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
