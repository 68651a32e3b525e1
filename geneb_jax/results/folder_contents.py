"""What an output folder holds, from its checksummed records alone: the source of every table.

scores.csv, summary.csv, run.json and the report are made from this, so an edited table changes
nothing that a later run writes. Every row that is in a record and not in the tables is accounted
for in :attr:`FolderContents.left_out`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geneb_jax.benchmark import Suite
from geneb_jax.identity import EncoderIdentity
from geneb_jax.results.file_names import safe_folder_name
from geneb_jax.results.kept_rows import read_units
from geneb_jax.results.labels import labels_of, variant_of
from geneb_jax.results.model_facts import (
    YOUNGER_FIELDS,
    EmbeddingFacts,
    ModelFacts,
    weights_kind,
    with_variant,
)
from geneb_jax.results.records import Records
from geneb_jax.results.run_record import TaskFacts
from geneb_jax.results.score_columns import ScoreTable
from geneb_jax.results.shown_rows import identity_of, shown_rows
from geneb_jax.results.suite_record import SuiteRecord, suite_record
from geneb_jax.results.typed_json import from_plain, to_plain
from geneb_jax.results.unit_keys import UnitKey
from geneb_jax.sealed_files import read_sealed, write_sealed

__all__ = [
    "FolderContents",
    "find_model_facts",
    "find_task_facts",
    "keep_model_facts",
    "keep_task_facts",
    "read_contents",
]

_MODEL_KIND, _COST_KIND, _TASK_KIND = "model 1", "cost 1", "task 1"
_YOUNGER_TASK_FIELDS = frozenset({"notes", "test_rows", "verified_as"})


@dataclass(frozen=True, slots=True)
class FolderContents:
    """The results of one suite.

    Attributes:
        rows: Rows of scores.csv: models by label, then tasks and regimes as the suite has them.
        models: Label -> facts of the model.
        tasks: Task id -> facts of its files.
        left_out: A sentence for each group of recorded rows that no table shows, or that another
            version of the probes' code made than the rest.
    """

    rows: ScoreTable
    models: Mapping[str, ModelFacts]
    tasks: Mapping[str, TaskFacts]
    left_out: tuple[str, ...]


def keep_model_facts(records: Records, facts: ModelFacts) -> None:
    """Write what is known of one identity of a model beside its records.

    What it cost to embed and probe goes into a file of its own: it is another one every time, and
    everything else in the folder is the same bytes however often a run was killed.

    Raises:
        OutputError: if a file cannot be written.
    """
    folder = records.model_folder(facts.name, facts.identity_short)
    lasting = replace(facts, embedding=None, probing_seconds=None, units_reused=0)
    write_sealed(folder / "model.json", _MODEL_KIND, lasting.as_dict())
    if facts.embedding is not None and facts.embedding.embedded:
        cost = {
            "embedding": to_plain(facts.embedding),
            "probing_seconds": facts.probing_seconds,
        }
        write_sealed(folder / "cost.json", _COST_KIND, cost)


def find_model_facts(records: Records, name: str, identity: str) -> ModelFacts | None:
    """What is known of an identity; None if that is absent or not believed."""
    folder = records.model_folder(name, identity)
    try:
        facts = ModelFacts.from_dict(read_sealed(folder / "model.json", _MODEL_KIND))
    except (OSError, ValueError):
        return None
    try:
        cost = read_sealed(folder / "cost.json", _COST_KIND)
        embedding = from_plain(EmbeddingFacts, cost["embedding"], younger=YOUNGER_FIELDS)
        seconds = cost["probing_seconds"]
        if seconds is not None and not isinstance(seconds, int | float):
            raise ValueError("probing_seconds is not a number")
        return replace(facts, embedding=embedding, probing_seconds=seconds)
    except (OSError, ValueError, KeyError):
        return facts


def keep_task_facts(records: Records, task_id: str, facts: TaskFacts) -> None:
    """Write what the files of a task are now; rows on other files leave the tables.

    Raises:
        OutputError: if the file cannot be written.
    """
    content = {"task_id": task_id, **to_plain(facts)}
    write_sealed(_task_path(records, task_id), _TASK_KIND, content)


def find_task_facts(records: Records, task_id: str) -> TaskFacts | None:
    """What the files of a task were when a run last looked; None if absent or not believed."""
    try:
        content = read_sealed(_task_path(records, task_id), _TASK_KIND)
        del content["task_id"]
        return from_plain(TaskFacts, content, younger=_YOUNGER_TASK_FIELDS)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _task_path(records: Records, task_id: str) -> Path:
    return records.task_facts_folder / f"{safe_folder_name(task_id)}.json"


def read_contents(out: Path, suite: Suite, *, code: str, keep: bool = False) -> FolderContents:
    """Read every record of a folder and decide what its tables show.

    A row is shown if its task is in the suite and was fitted under the suite's protocol on the
    files that the task has now. Where several records have the same fit, one that succeeded comes
    before one that failed, the present code before any other, and float64 before less.

    Args:
        out: The output folder.
        suite: The suite that it belongs to.
        code: Version of the probes' code that is preferred.
        keep: Whether to leave tables for the next reader (:mod:`geneb_jax.results.kept_rows`).
    """
    records = Records(out)
    units = read_units(records, keep=keep)
    found = {task.task_id: find_task_facts(records, task.task_id) for task in suite.tasks}
    tasks = {task_id: facts for task_id, facts in found.items() if facts is not None}
    wanted = suite_record(suite)
    named = frozenset(wanted.categories)
    reasons = [_why_not(key, wanted, named, tasks) for key in units.keys]
    shown = [at for at, why in enumerate(reasons) if not why]
    lost: list[str] = []
    alone = _facts(records, [units.keys[at] for at in shown], lost)
    labels = labels_of({identity: one.label for identity, one in alone.items()})
    models = [replace(one, label=labels[identity]) for identity, one in alone.items()]
    rows, of_other_code = shown_rows(units, shown, labels, suite, tasks, code)
    return FolderContents(
        rows=rows,
        models={one.label: one for one in sorted(models, key=lambda one: one.label)},
        tasks=tasks,
        left_out=(
            *_left_out(units.keys, reasons),
            *of_other_code,
            *lost,
            *(f"{one.path}: not believed ({one.reason}), and left out" for one in records.damaged),
        ),
    )


def _left_out(keys: Sequence[UnitKey], reasons: Sequence[str]) -> list[str]:
    """A sentence for each model and reason why some of its units are in no table.

    An earlier record of what a table shows anew is history, not a loss.
    """
    paired = list(zip(keys, reasons, strict=True))
    if not any(reasons):
        return []
    shown = {fit for key, why in paired if not why for fit in _fits(key)}
    hidden: dict[tuple[str, str], set[str]] = {}
    for key, why in paired:
        if why and not _fits(key) <= shown:
            hidden.setdefault((key.model_id, why), set()).add(key.task_id)
    return [_sentence(name, why, tasks) for (name, why), tasks in sorted(hidden.items())]


def _fits(key: UnitKey) -> set[tuple[object, ...]]:
    """The places in a table that a unit fills, one a C and seed."""
    unit = (identity_of(key), key.task_id, key.regime, key.probe, key.solver)
    return {(*unit, C, seed) for C in key.C for seed in key.seeds}


def _why_not(
    key: UnitKey, wanted: SuiteRecord, named: Collection[str], tasks: Mapping[str, TaskFacts]
) -> str:
    """Why no table shows a unit; empty if one does. ``named`` are the ids of the suite's tasks."""
    if key.task_id not in named:
        return f"the suite {wanted.name} has no such task"
    regimes = wanted.protocol["regimes"]
    if key.regime not in regimes or regimes[key.regime] != key.shots:
        return f"the suite {wanted.name} has no regime {key.regime} with these rows a class"
    if (key.tol, key.max_iter) != (wanted.protocol["tol"], wanted.protocol["max_iter"]):
        return "fitted with another tol or max_iter than the suite's"
    known = tasks.get(key.task_id)
    # A unit that failed for lack of files is of no files at all, and hides nobody's rows.
    if known is None or key.task_fingerprint not in ("", known.fingerprint):
        return "made on other files of the task than those a run read last; run the model again"
    return ""


def _sentence(name: str, why: str, tasks: Iterable[str]) -> str:
    found = sorted(tasks)
    shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return f"not in the tables: rows of {name} on {shown}: {why}"


def _facts(records: Records, keys: Iterable[UnitKey], lost: list[str]) -> dict[str, ModelFacts]:
    """Identity digest -> facts, with the label that the model would have alone.

    Adds a sentence to ``lost`` for each model whose facts are absent or not believed.
    """
    found: dict[str, ModelFacts] = {}
    for key in keys:
        digest = identity_of(key)
        if digest not in found:
            facts = find_model_facts(records, key.model_id, key.identity)
            if facts is None or facts.identity is None or facts.identity.digest != digest:
                facts = _facts_of_key(key)
                lost.append(
                    f"{records.model_folder(key.model_id, key.identity) / 'model.json'}: "
                    "absent, edited or damaged; the model's label, size and display name are lost "
                    "until it is run again"
                )
            found[digest] = facts
    return found


def _facts_of_key(key: UnitKey) -> ModelFacts:
    """Who made a unit, as its record itself says; what was known beside is lost."""
    try:
        identity = EncoderIdentity(**key.embedding)  # type: ignore[arg-type]
    except TypeError:
        identity = None
    # Which pooling is the model's own is not known here.
    variant = variant_of(identity, own_pooling=None) if identity is not None else ()
    return ModelFacts(
        label=with_variant(key.model_id, variant),
        name=key.model_id,
        identity=identity,
        variant=variant,
        identity_short=key.identity,
        weights=weights_kind(str(key.embedding.get("weights", ""))),
    )
