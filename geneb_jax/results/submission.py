"""Write the submission files that the GENEB benchmark accepts (schema 1.0).

1. A submission exists only for a suite with a harness version (the benchmark itself, never the
   simulated demo), and only when every task, regime and seed of it has a score.
2. Its scores are means over the protocol's seeds, of the protocol's probe and C with the reference
   solver: a different solver or C is a different benchmark.
3. Scores of data that are not the benchmark's (:mod:`geneb_jax.benchmark.data_standing`) are no
   submission unless asked for, and then the file names their tasks.
4. Names, order and separators are those of the benchmark's own runner, so the file differs from it
   only in the digits: as in the 40 published submissions, nothing is rounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.benchmark import DataStanding, Suite, load_suite
from geneb_jax.errors import SubmissionError
from geneb_jax.results.file_names import submission_file_name
from geneb_jax.results.model_facts import ModelFacts
from geneb_jax.results.score_columns import ScoreTable
from geneb_jax.results.score_rows import PROTOCOL_PROBE, PROTOCOL_SOLVER, SCORE_RANGES, ScoreRow
from geneb_jax.results.seed_means import mean_over_seeds
from geneb_jax.results.submission_check import SCHEMA_VERSION, check_submission
from geneb_jax.results.submission_reading import METRIC_NAMES

__all__ = [
    "SUBMISSION_FOLDER",
    "UNLIKE_DATA",
    "SubmissionMeta",
    "build_submission",
    "submission_gaps",
    "submission_obstacles",
    "way_to_submit",
    "write_submission",
]

SUBMISSION_FOLDER = "submissions"
#: What a gap says of a score that is whole but not the benchmark's.
UNLIKE_DATA = "data unlike the benchmark's"
#: What a gap says of a suite that is not the benchmark.
_TAKES_NONE, _OTHER_DATA = "takes no submissions", "does not pin the benchmark's data set"

_Scores = dict[tuple[str, str], dict[int, ScoreRow]]


@dataclass(frozen=True, slots=True)
class SubmissionMeta:
    """What a submission says about its model.

    Attributes:
        display: Name to show.
        params: Number of parameters.
        url: Where the model is.
        zero_shot: Whether the model has never seen the tasks' data.
        training_data: What it was pretrained on.
        submitted_by: Who submits.
        provenance: ``self-reported`` for everyone but the benchmark's authors.
    """

    display: str
    params: int
    url: str = ""
    zero_shot: bool = False
    training_data: str = ""
    provenance: str = "self-reported"
    submitted_by: str = ""

    @classmethod
    def of(cls, facts: ModelFacts) -> SubmissionMeta:
        """What is known of a model; what nobody stated stays empty.

        ``zero_shot`` is false, as the benchmark's own runner has it: only the author can say that
        the pretraining never saw the tasks' data (``geneb-jax submission write --zero-shot``).
        """
        return cls(
            display=facts.title,
            params=facts.params or 0,
            url=facts.url,
            training_data=facts.corpus,
        )


def submission_gaps(
    model_id: str, rows: Iterable[ScoreRow], suite: Suite, *, unverified: bool = False
) -> tuple[str, ...]:
    """What keeps a model's rows from being a submission; empty when nothing does."""
    return _collect(model_id, rows, suite, unverified=unverified)[1]


def way_to_submit(gap: str) -> str:
    """What to do about a gap (:func:`submission_gaps`)."""
    if UNLIKE_DATA in gap:
        return (
            "`geneb-jax data fetch` brings the benchmark's files; --unverified takes scores of "
            "other data all the same, and the file says so"
        )
    if gap.endswith((_TAKES_NONE, _OTHER_DATA)):
        return "submissions are of the benchmark: run its tasks, without --suite, into a new folder"
    return "run what is missing into the same folder first"


def submission_obstacles(
    models: Iterable[ModelFacts],
    rows: Sequence[ScoreRow],
    suite: Suite,
    *,
    unverified: bool = False,
) -> dict[str, tuple[str, ...]]:
    """Label -> what keeps a model from being submitted; empty where nothing does.

    Besides missing scores (:func:`submission_gaps`): an untrained control must not be taken for the
    model, and the benchmark's rule for file names gives two labels one name where they differ in
    spaces or brackets alone; the first of them has it.
    """
    found: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    rows = ScoreTable.of(rows)
    for facts in models:
        if facts.untrained:
            found[facts.label] = ("its weights are random: a control, not a submission",)
            continue
        found[facts.label] = submission_gaps(facts.label, rows, suite, unverified=unverified)
        if not found[facts.label]:
            # Some file systems take two cases for one name.
            name = submission_file_name(facts.label)
            first = taken.setdefault(name.casefold(), facts.label)
            if first != facts.label:
                found[facts.label] = (f"its file would be {name}, as that of {first} is",)
    return found


def build_submission(
    model_id: str,
    meta: SubmissionMeta,
    rows: Iterable[ScoreRow],
    suite: Suite,
    *,
    unverified: bool = False,
) -> dict[str, Any]:
    """Assemble a submission from the protocol's score rows of a model; others are ignored.

    Args:
        model_id: The model.
        meta: What is said of it.
        rows: Rows of scores.csv.
        suite: The benchmark.
        unverified: Take scores of data unlike the benchmark's too; ``unverified`` of the file then
            names their tasks.

    Raises:
        SubmissionError: if anything is missing or failed, or the suite takes no submissions.
    """
    scores, gaps = _collect(model_id, rows, suite, unverified=unverified)
    if gaps:
        more = f", and {len(gaps) - 3} more" if len(gaps) > 3 else ""
        raise SubmissionError(
            f"the submission of {model_id} is incomplete: {'; '.join(gaps[:3])}{more}",
            hint=way_to_submit(gaps[0]),
        )
    names = ("display", "params", "url", "zero_shot", "training_data", "provenance", "submitted_by")
    about = asdict(meta)
    unlike = _unlike(scores)
    return {
        "schema_version": SCHEMA_VERSION,
        "model_id": model_id,
        "harness_version": suite.harness_version,
        "meta": {name: about[name] for name in names},
        "results": {
            regime.name: {
                task.task_id: {
                    name: _seed_mean(scores[regime.name, task.task_id], metric)
                    for metric, name in METRIC_NAMES.items()
                }
                for task in suite.tasks
            }
            for regime in suite.protocol.regimes
        },
        **({"unverified": {"unlike_data": unlike}} if unlike else {}),
    }


def write_submission(
    out: Path,
    model_id: str,
    meta: SubmissionMeta,
    rows: Iterable[ScoreRow],
    suite: Suite,
    *,
    unverified: bool = False,
) -> Path:
    """Write ``out/submissions/<model_id>.json`` atomically, once the validator has accepted it.

    Raises:
        SubmissionError: if anything is missing, failed or would be refused.
        OutputError: if the file cannot be written.
    """
    submission = build_submission(model_id, meta, rows, suite, unverified=unverified)
    path = out / SUBMISSION_FOLDER / submission_file_name(model_id)
    verdict = check_submission(submission, path.name, suite)
    if verdict.errors:
        raise SubmissionError("; ".join(verdict.errors[:3]), where=path)
    text = json.dumps(submission, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    durable_files.write_text(path, text)
    return path


def _unlike(scores: _Scores) -> list[str]:
    """Ids of the tasks whose data are unlike the benchmark's, in order of appearance."""
    return list(
        dict.fromkeys(
            task_id
            for (_, task_id), seeds in scores.items()
            if any(row.data == DataStanding.UNLIKE for row in seeds.values())
        )
    )


def _collect(
    model_id: str, rows: Iterable[ScoreRow], suite: Suite, *, unverified: bool
) -> tuple[_Scores, tuple[str, ...]]:
    """The protocol's rows of a model by (regime, task) and seed, and what is wrong with them."""
    if suite.harness_version is None:
        return {}, (f"the suite {suite.name} {_TAKES_NONE}",)
    if suite.dataset != load_suite("geneb").dataset:
        return {}, (f"the suite {suite.name} {_OTHER_DATA}",)
    protocol = suite.protocol
    scores: _Scores = {}
    wanted = {"C": protocol.C, "probe": PROTOCOL_PROBE, "solver": PROTOCOL_SOLVER}
    for row in ScoreTable.of(rows).where(model_id=model_id, **wanted):
        if row.seed in protocol.seeds:
            seeds = scores.setdefault((row.regime, row.task_id), {})
            if row.seed in seeds:
                raise ValueError(f"two rows for {row.fit}")
            seeds[row.seed] = row
    gaps: list[str] = []
    for regime in protocol.regimes:
        for task in suite.tasks:
            seeds = scores.get((regime.name, task.task_id), {})
            missing = [seed for seed in protocol.seeds if seed not in seeds]
            failed = [row for row in seeds.values() if row.failed]
            where = f"{regime.name} {task.task_id}"
            if not seeds:
                gaps.append(f"{where} has no score")
            elif missing:
                gaps.append(f"{where} lacks seed {', '.join(map(str, missing))}")
            elif failed:
                gaps.append(f"{where} failed ({failed[0].error})")
    unlike = [] if unverified else _unlike(scores)
    gaps += [
        f"{task_id} was scored on {UNLIKE_DATA} (another size of test set)" for task_id in unlike
    ]
    return scores, tuple(gaps)


def _seed_mean(seeds: dict[int, ScoreRow], metric: str) -> float:
    mean = mean_over_seeds([getattr(row, metric) for row in seeds.values()])
    low, high = SCORE_RANGES[metric]
    return min(max(mean, low), high)
