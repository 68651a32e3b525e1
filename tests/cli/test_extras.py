"""What doctor says of extras and accelerators, on machines that this one is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from geneb_jax.cli import extras
from geneb_jax.cli.extras import EXTRAS, accelerator_advice, missing_packages

ROOT = Path(__file__).resolve().parents[2]


def _machine(monkeypatch: pytest.MonkeyPatch, *, gpu: bool = False, tpu: bool = False) -> None:
    monkeypatch.setattr(extras, "nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(extras, "tpu", lambda: tpu)


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["optional-dependencies"]
    for name in ("torch", "export", "formats", "cluster"):
        names = tuple(re.split(r"[<>=\[]", one)[0] for one in declared[name])
        assert EXTRAS[name].packages == names
    assert declared["cuda"] == ["jax[cuda12]"]
    assert set(EXTRAS) <= set(declared)


def test_missing_ones_are_named_where_they_are_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch)
    versions = {"torch": "2", "transformers": "5", "pyarrow": "21", "anndata": "1", "h5py": "3"}
    assert missing_packages(versions.get) == {
        "torch": ["peft"], "formats": ["pyfaidx"], "cluster": ["distributed"],
    }  # fmt: skip
    _machine(monkeypatch, gpu=True)
    assert missing_packages(versions.get)["cuda"] == ["jax-cuda12-plugin"]


def test_an_idle_accelerator_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, gpu=True)
    lacking = {"cuda": ["jax-cuda12-plugin"]}
    assert "pip install 'geneb-jax[cuda]'" in accelerator_advice({"cpu"}, lacking, {})[0]
    assert "CUDA_VISIBLE_DEVICES hides it" in accelerator_advice({"cpu"}, {}, {})[0]
    _machine(monkeypatch)
    assert accelerator_advice({"cpu"}, {}, {}) == [
        "no accelerator: models and probes run on the CPU"
    ]


def test_what_jax_takes_of_a_gpu_is_said_unless_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, gpu=True)
    [said] = accelerator_advice({"gpu"}, {}, {})
    assert "0.75 of the GPU's memory" in said
    assert "XLA_PYTHON_CLIENT_PREALLOCATE=false" in said
    share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.4"}
    assert "takes 0.4" in accelerator_advice({"gpu"}, {}, share)[0]
    off = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert accelerator_advice({"gpu"}, {}, off) == []
