"""Completion, by click's own protocol: what a shell asks for and gets."""

from __future__ import annotations

import pytest
from click.shell_completion import BashComplete

from geneb_jax.cli.main import command


def _completed(words: str, incomplete: str) -> list[str]:
    shell = BashComplete(command, {}, "geneb-jax", "_GENEB_JAX_COMPLETE")
    return [item.value for item in shell.get_completions(words.split(), incomplete)]


@pytest.mark.parametrize(
    ("words", "incomplete", "wanted"),
    [
        ("", "sub", ["submission"]),
        ("list", "pre", ["presets"]),
        ("run", "--sol", ["--solver"]),
        ("run --weights", "", ["pretrained", "random"]),
        ("run --solver", "ref", ["reference", "reference32"]),
    ],
)
def test_verbs_options_and_values_are_completed(
    words: str, incomplete: str, wanted: list[str]
) -> None:
    assert _completed(words, incomplete) == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_program_gives_a_script_for_each_shell(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # click looks for bash's version by running it, which says nothing of the script.
    monkeypatch.setattr(BashComplete, "_check_version", staticmethod(lambda: None))
    monkeypatch.setenv("_GENEB_JAX_COMPLETE", f"{shell}_source")
    with pytest.raises(SystemExit) as stop:
        command.main(args=[], prog_name="geneb-jax")
    assert stop.value.code == 0
    assert "_GENEB_JAX_COMPLETE" in capsys.readouterr().out
