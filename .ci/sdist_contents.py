"""Check a source distribution: what a wheel is built from, and nothing that is not ours."""

from __future__ import annotations

import sys
import tarfile

#: What stands at the top: sources, texts, and what setuptools adds.
EXPECTED = {
    "LICENSE", "PKG-INFO", "README.md", "configs", "geneb_jax", "geneb_jax.egg-info", "kernels",
    "probes", "pyproject.toml", "setup.cfg",
}  # fmt: skip
#: Of whatever else is there, only tests may be: setuptools takes some along.
ALLOWED = {"tests"}
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "configs/runs/demo.toml", "geneb_jax/py.typed")

with tarfile.open(sys.argv[1]) as archive:
    members = archive.getmembers()
names = [member.name.partition("/")[2] for member in members if member.isfile()]
top = {name.split("/")[0] for name in names}
strange = top - EXPECTED - ALLOWED
missing = [name for name in NEEDED if name not in names]
odd = [member.name for member in members if not (member.isfile() or member.isdir())]
if strange or missing or odd:
    sys.exit(f"sdist: unexpected {sorted(strange)}, missing {missing}, links or devices {odd}")
print(f"sdist holds {sorted(top)}: {len(names)} files")
