"""A run's own run.json as a run file: the same options again, on the same files and models.

run.json holds what the last run into a folder was asked (:class:`~geneb_jax.results.RequestFacts`)
and what that turned out to be: the suite, the digests of the task files, the identities of the
models, how probes were fitted. A repetition takes the first and is held to the second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geneb_jax.benchmark import select_tasks
from geneb_jax.errors import ConfigError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.results import RequestFacts, RunRecord, SuiteFacts, installed_versions

if TYPE_CHECKING:
    from geneb_jax.runs.request import RunRequest
    from geneb_jax.runs.work import RunWork

__all__ = ["changes_scores", "options_of", "request_facts", "require_same_run"]

#: Of the moment: which share of the work a process takes, what it does about a folder's state.
_OF_THE_MOMENT = ("fresh", "part", "scheduler", "update_suite")
#: Where things are and who does the work; they decide no score.
_PLACES = ("data_dir", "offline", "out", "path", "store", *_OF_THE_MOMENT)
_HOME = re.compile(r"(^|:)~(?=/|$)")
_REDACTED = "[redacted]"
#: Packages whose version may move last digits.
_COUNTING = ("jax", "jaxlib", "numpy", "scipy", "torch", "transformers")


def request_facts(request: RunRequest, labels: tuple[str, ...]) -> RequestFacts:
    """What run.json keeps of a request.

    Args:
        request: What was asked.
        labels: Labels of its models.
    """
    asked = request.model_dump(mode="json", exclude=set(_OF_THE_MOMENT), exclude_none=True)
    return RequestFacts({name: value for name, value in asked.items() if value != []}, labels)


def options_of(record: RunRecord, *, where: object) -> dict[str, Any]:
    """The options of the run that wrote a record.

    Raises:
        ConfigError: if it does not hold them, or something in them was redacted.
    """
    if record.request is None:
        raise ConfigError(
            "it does not say what the run was asked",
            where=where,
            cause="an earlier version wrote it",
            hint="run once more into the folder with the options typed; finished units are found",
        )
    options = {}
    for name, value in record.request.options.items():
        if _REDACTED in str(value):
            raise ConfigError(
                f"{name} held a credential, which was not written down",
                where=where,
                hint=f"give --{name.replace('_', '-')} on the command line instead of the run.json",
            )
        options[name] = _at_home(value)
    return options


def _at_home(value: Any) -> Any:
    """Paths with the home folder in the place of ``~``, which the record has for it."""
    if isinstance(value, list | tuple):
        return [_at_home(one) for one in value]
    if not isinstance(value, str):
        return value
    return _HOME.sub(lambda found: found[1] + str(Path("~").expanduser()), value)


def changes_scores(overrides: Mapping[str, Any]) -> bool:
    """Whether options on the command line make another run of a recorded one."""
    return any(name not in _PLACES for name in overrides)


def require_same_run(work: RunWork, record: RunRecord, *, where: Path) -> tuple[str, ...]:
    """Make sure that planned work is what a record's run did.

    Args:
        work: What would be done now.
        record: What was done.
        where: The record's file.

    Returns:
        Sentences on what may still move last digits, and on what is not repeated.

    Raises:
        ConfigError: naming the first thing that differs: suite, settings, a task's files, a model.
    """
    planned = {**asdict(work.settings), "regimes": work.settings.regime_names}
    recorded = asdict(record.settings)
    for name, was in recorded.items():
        if planned[name] != was:
            raise _other(where, f"{name} was {_short(was)} and is {_short(planned[name])} now")
    if SuiteFacts.of(work.suite).digest != record.suite.digest:
        raise _other(where, f"the suite {record.suite.name} has other tasks, classes or protocol")
    for task, fingerprint in work.tables.chosen.fingerprints.items():
        known = record.tasks.get(task.task_id)
        if known is not None and known.fingerprint != fingerprint:
            raise _other(where, f"the files of {task.task_id} are not those that it was run on")
    usable = work.tables.chosen.fingerprints
    gone = [
        task.task_id
        for task in select_tasks(work.suite, work.request.task)
        if task.task_id in record.tasks and task not in usable
    ]
    if gone:
        raise _other(where, f"there are no usable files of {', '.join(gone[:3])} here")
    identities = [one.identity for one in record.models.values() if one.identity is not None]
    for model in work.models:
        now = model.reference.identity
        if _without_batches(now) not in map(_without_batches, identities):
            raise _other(where, _model_differs(model.facts.name, now, identities))
    return tuple(_told(record))


def _other(where: Path, what: str) -> ConfigError:
    return ConfigError(
        f"the run cannot be repeated: {what}",
        where=where,
        hint="type the options that you want, or begin with a run file of your own",
    )


def _without_batches(identity: EncoderIdentity) -> EncoderIdentity:
    """Who a model is, on a device that may hold fewer tokens."""
    return replace(identity, batch_tokens="")


def _model_differs(name: str, now: EncoderIdentity, identities: list[EncoderIdentity]) -> str:
    alike = [one for one in identities if one.model_id == now.model_id]
    if not alike:
        return f"{name} is no model of that run"
    was, here = (_without_batches(one).as_dict() for one in (alike[0], now))
    differing = [field for field in was if was[field] != here[field]]
    return f"{name} differs from the model of that run in {', '.join(differing)}"


def _told(record: RunRecord) -> list[str]:
    told = []
    here = installed_versions(_COUNTING)
    moved = [
        f"{name} {was}, here {here.get(name, 'none')}"
        for name, was in record.versions.items()
        if name in _COUNTING and here.get(name) != was
    ]
    if moved:
        told.append(f"the run was made with {'; '.join(moved)}: last digits may differ")
    asked = () if record.request is None else record.request.models
    others = [label for label in record.models if label not in asked]
    if others:
        shown = ", ".join(others[:3]) + (" ..." if others[3:] else "")
        told.append(f"{shown}: of earlier commands into the folder, which run.json does not repeat")
    return told


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
