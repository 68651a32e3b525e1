"""How annotations of shapes, dtypes and types are checked in tests (pyproject.toml, addopts)."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

#: An int serves where a float is annotated, as for every static checker.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
