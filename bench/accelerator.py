"""Everything worth measuring once a real accelerator is there, in boxes of minutes.

``python -m bench.accelerator`` runs each box in a process of its own, which is ended when its time
is up: what it had measured until then is kept. One JSON record comes of it, and a table of the
estimates that were wrong by more than 2. Nothing is needed but what the project itself needs; a
torch that finds the card is measured beside it, and its absence is said.

- ``smoke``: versions, devices, one model in each dtype, one fit, whether cuDNN is used.
- ``embed``: the smallest model of every family (``-m`` for others), 32,768 tokens: milliseconds,
  tokens a second, share of the peak, memory, beside the estimate; a torch loop on the same card.
- ``precision``: float32 products by every algorithm, their time and what they lose.
- ``probes``: the protocol and a sweep over C on made-up embeddings, cold and warm.
- ``correctness``: embeddings against those of this machine's CPU.
- ``whole``: sequences to stored rows: the share of device, host and commits.

``--dry-run`` makes everything small, for a machine without an accelerator: its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["BOXES", "main"]

#: Box to its minutes.
BOXES = {"smoke": 3, "embed": 10, "precision": 5, "probes": 5, "correctness": 8, "whole": 5}
_WRONG = 2.0
_ROOT = Path(__file__).resolve().parents[1]
_RECORDS = _ROOT / "bench" / "records"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the boxes; the exit code: 1 where one of them measured nothing."""
    asked = _parser().parse_args(arguments)
    if asked.inside:
        from bench.accelerator_boxes import run_box

        run_box(asked.inside, asked.rows, dry=asked.dry_run, models=asked.model, seconds=asked.time)
        return 0
    boxes = asked.box or list(BOXES)
    record: dict[str, Any] = {"schema": 1, "dry_run": asked.dry_run, "boxes": {}}
    record["started_utc"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for box in boxes:
        minutes = asked.minutes or BOXES[box]
        record["boxes"][box] = _boxed(box, 60 * minutes, asked)
        _show(box, record["boxes"][box])
    record["estimates_wrong"] = wrong_estimates(record)
    _write(record, asked.out)
    _show_wrong(record["estimates_wrong"], dry=asked.dry_run)
    return 1 if any(not box["rows"] for box in record["boxes"].values()) else 0


def wrong_estimates(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Measurements that an estimate missed by more than 2, the worst first."""
    found = [
        {
            "box": name,
            "what": row["what"],
            "factor": row["measured_ms"] / row["estimated_ms"],
            **row,
        }
        for name, box in record["boxes"].items()
        for row in box["rows"]
        if row.get("estimated_ms") and row.get("measured_ms")
    ]
    wrong = [row for row in found if not 1 / _WRONG <= row["factor"] <= _WRONG]
    return sorted(wrong, key=lambda row: -max(row["factor"], 1 / row["factor"]))


def _boxed(box: str, seconds: float, asked: argparse.Namespace) -> dict[str, Any]:
    """One box in a process of its own: its lines, its time, and how it ended where it did ill."""
    began, ended = time.monotonic(), ""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        command = [sys.executable, "-m", "bench.accelerator", "--inside", box, "--rows", str(rows)]
        command += ["--time", str(0.9 * seconds), *(["--dry-run"] if asked.dry_run else [])]
        command += [part for name in asked.model or () for part in ("-m", name)]
        try:
            done = subprocess.run(
                command, cwd=_ROOT, capture_output=True, text=True, timeout=seconds, check=False
            )
            if done.returncode:
                ended = f"exit code {done.returncode}: {done.stderr.strip()[-500:]}"
        except subprocess.TimeoutExpired:
            ended = f"ended after {seconds:.0f} s, its time"
        text = rows.read_text(encoding="utf-8") if rows.exists() else ""
    lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    return {"rows": lines, "seconds": round(time.monotonic() - began, 1), "ended": ended}


def _write(record: dict[str, Any], out: Path | None) -> None:
    smoke = record["boxes"].get("smoke", {}).get("rows") or [{}]
    kind = str(smoke[0].get("device", "unknown")).replace(" ", "-")
    if out is None and record["dry_run"]:
        return
    path = out or _RECORDS / f"{kind}-{record['started_utc'][:10]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"record: {path}")


def _show(box: str, found: dict[str, Any]) -> None:
    print(f"== {box}: {len(found['rows'])} measurements in {found['seconds']} s", flush=True)
    if found["ended"]:
        print(f"   {found['ended']}")
    for row in found["rows"]:
        parts = [f"{name} {_short(value)}" for name, value in row.items() if name != "what"]
        print(f"   {row['what']}: {', '.join(parts)}", flush=True)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _show_wrong(rows: list[dict[str, Any]], *, dry: bool) -> None:
    print(f"== estimates wrong by more than {_WRONG:g}{' (a dry run: they mean nothing)' * dry}")
    for row in rows:
        print(
            f"   {row['box']:12}{row['what']:60} measured {row['measured_ms']:9.2f} ms, "
            f"estimated {row['estimated_ms']:9.2f}: {row['factor']:.2f}"
        )
    if not rows:
        print("   none")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", action="append", choices=BOXES, help="repeatable; default: all")
    parser.add_argument("--minutes", type=float, help="of every box; default: each its own")
    parser.add_argument("-m", "--model", action="append", help="models of embed and correctness")
    parser.add_argument("--dry-run", action="store_true", help="everything small, on any platform")
    parser.add_argument("--out", type=Path, help="the record; default: bench/records/DEVICE-DATE")
    for option, kind in (("--inside", str), ("--rows", Path), ("--time", float)):
        parser.add_argument(option, type=kind, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
