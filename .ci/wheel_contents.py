"""Check what a wheel puts at the top of site-packages: our three names and nothing else."""

from __future__ import annotations

import sys
import zipfile

EXPECTED = {"geneb_jax", "geneb_jax_kernels", "geneb_jax_probes"}

with zipfile.ZipFile(sys.argv[1]) as wheel:
    names = wheel.namelist()
top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
missing = [
    name
    for name in (
        "geneb_jax/py.typed",
        "geneb_jax/_configs/benchmarks/geneb.toml",
        "geneb_jax/_configs/benchmarks/demo/suite.toml",
        "geneb_jax/_configs/runs/demo.toml",
    )
    if name not in names
]
if top != EXPECTED or missing:
    sys.exit(f"wheel holds {sorted(top)}, expected {sorted(EXPECTED)}; missing {missing}")
print(f"wheel holds {sorted(top)}: {len(names)} files")
