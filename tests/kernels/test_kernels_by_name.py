"""``geneb_jax.kernels``: every kernel by its name, and JAX only when one is asked for."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import geneb_jax.kernels
import geneb_jax_kernels


def test_it_lists_every_public_kernel_and_gives_the_very_function() -> None:
    public = {}
    for module in pkgutil.iter_modules(geneb_jax_kernels.__path__):
        home = importlib.import_module(f"geneb_jax_kernels.{module.name}")
        public |= {name: getattr(home, name) for name in home.__all__}
    kernels = {
        name: kernel
        for name, kernel in public.items()
        if not name.endswith(("_reference", "_associative"))
    }
    assert dir(geneb_jax.kernels) == sorted(kernels) == geneb_jax.kernels.__all__
    for name, kernel in kernels.items():
        assert getattr(geneb_jax.kernels, name) is kernel
    with pytest.raises(AttributeError, match="no_such_kernel"):
        _ = geneb_jax.kernels.no_such_kernel


def test_naming_it_does_not_import_jax() -> None:
    code = "import sys, geneb_jax.kernels as k; dir(k); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
