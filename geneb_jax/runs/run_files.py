"""What ``--config`` names: a run file in TOML, a preset, or the run.json of an earlier run."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from geneb_jax.errors import ConfigError
from geneb_jax.plain_files import is_folder
from geneb_jax.runs.presets import presets
from geneb_jax.runs.request import RunRequest, request_from_mapping, request_from_toml

__all__ = ["RUN_JSON", "request_from_file"]

#: What a run calls its record.
RUN_JSON = "run.json"


def request_from_file(name: str, overrides: dict[str, Any]) -> RunRequest:
    """Read what ``--config`` names and let ``overrides`` (options on the command line) win.

    Args:
        name: A preset, exactly (``./NAME`` is a file of that name); the path of a TOML file; or the
            path of a run.json.
        overrides: The options that were typed.

    Raises:
        ConfigError: if there is no such file or preset, or its options are impossible.
        DataError: if a run.json is damaged.
    """
    preset = presets().get(name)
    if preset is not None:
        return request_from_mapping({**preset.values, **overrides}, where=f"preset {name}")
    path = Path(name).expanduser()
    if is_folder(path):
        inside = path / RUN_JSON
        raise ConfigError(
            "is a folder",
            where=path,
            hint=f"its record is a run file: --config {inside}" if inside.is_file() else None,
        )
    if path.suffix == ".json":
        return request_from_mapping(_recorded(path) | overrides, where=path)
    if not path.exists() and path.suffix != ".toml" and path.name == name:
        near = difflib.get_close_matches(name, presets(), n=1)
        raise ConfigError(
            f"there is no run file and no preset {name!r}",
            hint=(f"did you mean {near[0]}? " if near else "")
            + f"the presets are {', '.join(presets())}",
        )
    return request_from_toml(path, overrides)


def _recorded(path: Path) -> dict[str, Any]:
    from geneb_jax.results import read_run_record
    from geneb_jax.runs.repeat import options_of

    if path.name != RUN_JSON:
        raise ConfigError(
            "is no run file",
            where=path,
            cause=f"run files are TOML, and a run's record is called {RUN_JSON}",
        )
    return options_of(read_run_record(path.parent), where=path)
