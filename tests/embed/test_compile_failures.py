"""What happens to a model whose program does not compile (F82), or only in a simpler form."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from geneb_jax.cli.main import main
from geneb_jax.embed import BatchMemoryError, Forward, embed_sequences, limited
from geneb_jax.embed import forward as forwards
from geneb_jax.embed import pooled_program as programs
from geneb_jax.embed.forward import DeviceRefusalError
from geneb_jax_kernels.plain_forms import fused_kernels_allowed


def compile_error(monkeypatch: pytest.MonkeyPatch, *texts: str) -> list[bool]:
    """Let compiling fail with these texts in turn; whether fused kernels were allowed each time."""
    made, left = [], list(texts)
    whole = programs.pooled_program

    class Refusing:
        """A jitted program that cannot be compiled while there are texts left."""

        def __init__(self, jitted: Any) -> None:
            self.jitted = jitted

        def lower(self, *arguments: Any) -> Any:
            made.append(fused_kernels_allowed())
            if left:
                raise jax.errors.JaxRuntimeError(left.pop(0))
            self.lowered = self.jitted.lower(*arguments)
            return self

        def compile(self, compiler_options: Any = None) -> Any:
            del compiler_options  # those of another platform's compiler
            return self.lowered.compile()

    monkeypatch.setattr(
        forwards, "pooled_program", lambda encoder, mesh: Refusing(whole(encoder, mesh))
    )
    return made


@pytest.mark.parametrize("said", ["INTERNAL: Couldn't find output tile sizes", "UNKNOWN: no"])
@pytest.mark.fault("F82")
def test_f82_a_compile_error_is_the_models_and_never_a_lost_device(
    monkeypatch: pytest.MonkeyPatch, attention: Any, said: str
) -> None:
    compile_error(monkeypatch, *[said] * 9)
    with pytest.raises(DeviceRefusalError, match="cannot be compiled for this device") as caught:
        embed_sequences(attention(), ["ACGT"])
    assert caught.value.exit_code == 1 and said in caught.value.message


@pytest.mark.parametrize("verb", ["run", "embed"])
@pytest.mark.fault("F82")
def test_f82_a_compile_error_named_internal_ends_with_exit_1(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
) -> None:
    compile_error(monkeypatch, *["INTERNAL: Couldn't find output tile sizes"] * 9)
    places = ["--store", str(tmp_path / "store")]
    places += ["--out", str(tmp_path / "out")] if verb == "run" else []
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        main([verb, "-m", "kmer-2", "--offline", "-t", "*", *places])
    signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr().err
    assert stop.value.code == 1, said
    assert "INTERNAL" in said and "Traceback" not in said and "same command" not in said


@pytest.mark.fault("F82")
def test_f82_too_little_memory_for_a_program_is_still_that(
    monkeypatch: pytest.MonkeyPatch, attention: Any
) -> None:
    compile_error(monkeypatch, *["RESOURCE_EXHAUSTED: out of memory"] * 9)
    with pytest.raises(BatchMemoryError):
        embed_sequences(limited(attention(), 64), ["ACGT" * 100])


def test_a_refused_kernel_is_done_without_and_said_once(
    monkeypatch: pytest.MonkeyPatch, attention: Any, caplog: pytest.LogCaptureFixture
) -> None:
    expected = embed_sequences(attention(), ["ACGT", "ACGTAC" * 9])
    refusals = ["INTERNAL: cuDNN refuses the graph", "INTERNAL: still"]
    made = compile_error(monkeypatch, *refusals)
    monkeypatch.setattr(forwards, "batch_tokens_in_force", lambda *arguments: 512)
    forward = Forward(attention())
    forward._platform = "gpu"
    found = embed_sequences(forward.encoder, ["ACGT", "ACGTAC" * 9], forward=forward)
    assert np.array_equal(found, expected)
    # As written, then without Triton's products, then without fused kernels; the next shape anew.
    assert made == [True, True, False, True]
    (told,) = [record.getMessage() for record in caplog.records]
    assert "cuDNN refuses the graph" in told and "without fused kernels" in told
