"""DNALongBench's tables of regions and genes, with the genome that they are cut from.

A row of its enhancer-target table names a gene, a region and whether the one acts on the other. Its
loader (ericli0419/DNALongBench) takes everything from the one to the other with flanks, masks other
enhancers between them by N, turns a gene that lies behind its region to the front, and cuts at
450,000 bp; flanks and file names stand in a ``.config`` beside the table. The same is done here but
for one thing: shorter sequences are not filled up with N, which no embedding needs. Its eQTL table
has two sequences a row, and its other tasks are regressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from geneb_jax.data.layouts.fasta import Genome, reversed_strand
from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut, Part
from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending, inner_stem
from geneb_jax.data.layouts.table_rows import Candidate, unusable_labels
from geneb_jax.data.layouts.tables import TABLE_ENDINGS, Table, read_table, table_columns
from geneb_jax.errors import DataError

__all__ = ["COLUMNS", "IMPORTER", "find", "read"]

IMPORTER = "DNALongBench table"
#: Columns of a table of region and gene.
COLUMNS = frozenset(
    "gene_chrom gene_start gene_end region_chrom region_start region_end gene_strand target "
    "subset".split()
)
_DEFAULTS = {
    "seq_len_cutoff": 450_000,
    "tss_flank_upstream": 3_000,
    "tss_flank_downstream": 3_000,
    "region_flank_upstream": 500,
    "region_flank_downstream": 500,
}
_MOST_CONFIG_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class _Settings:
    """Lengths in bp, and enhancers to mask: chromosome -> (start, end)."""

    lengths: Mapping[str, int]
    masked: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)


def find(files: SourceFiles, paths: Sequence[Path]) -> list[Candidate]:
    """Tables with the columns of region and gene."""
    return [
        Candidate(
            (*path.relative_to(files.root).parts[:-1], inner_stem(path)), IMPORTER, (("", path),)
        )
        for path in paths
        if inner_ending(path) in TABLE_ENDINGS and COLUMNS <= set(table_columns(files, path))
    ]


def read(
    files: SourceFiles, candidate: Candidate, options: ImportOptions, genome: Genome
) -> list[FoundTask | LeftOut]:
    """The task of one table.

    Raises:
        DataError: naming file and row.
    """
    path = candidate.paths[0][1]
    table = read_table(files, path)
    left_out = unusable_labels(table, candidate.names)
    if left_out is not None:
        return [left_out]
    settings = _settings(files, path)
    texts: list[str] = []
    kept: list[int] = []
    splits: list[str] = []
    skipped = 0
    for row in range(len(table.lines)):
        text = _sequence(table, row, settings, genome)
        if text is None:
            skipped += 1
            continue
        split = options.split(table.columns["subset"][row])
        if split is None:
            value = table.columns["subset"][row]
            raise DataError(
                f"the subset {value[:40]!r} is neither train, valid nor test",
                where=table.where(row),
                hint="say what its values mean: --splits A=train,B=test",
            )
        texts.append(text)
        splits.append(split)
        kept.append(row)
    part = Part(
        path,
        texts,
        [table.columns["target"][row] for row in kept],
        splits,
        [table.lines[row] for row in kept],
    )
    notes = {"rows that the publisher's loader skips too": skipped} if skipped else {}
    return [FoundTask(candidate.names, IMPORTER, (part,), notes)]


def _sequence(table: Table, row: int, settings: _Settings, genome: Genome) -> str | None:
    """One row's sequence; None where region and gene are on two chromosomes or too far apart."""
    one = {name: table.columns[name][row].strip() for name in COLUMNS}
    where = table.where(row)
    size = settings.lengths
    if one["gene_chrom"] != one["region_chrom"] or one["gene_strand"] not in ("+", "-"):
        return None
    gene_start, region = _number(one, "gene_start", where), one["region_chrom"]
    site = gene_start if one["gene_strand"] == "+" else _number(one, "gene_end", where) - 1
    gene = (site - size["tss_flank_upstream"], site + 1 + size["tss_flank_downstream"])
    near = (
        _number(one, "region_start", where) - size["region_flank_upstream"],
        _number(one, "region_end", where) + size["region_flank_downstream"],
    )
    between = (min(gene[1], near[1]), max(gene[0], near[0]))
    if max(0, between[1] - between[0]) > size["seq_len_cutoff"]:
        return None
    start, end = min(gene[0], near[0]), max(gene[1], near[1])
    length = genome.length_bp(region, where)
    letters = genome.fetch(region, max(start, 0), end, "+", where)
    text = "N" * max(-start, 0) + letters + "N" * max(end - length, 0)
    if between[0] < between[1]:
        text = _masked(text, start, between, settings.masked.get(region, ()))
    if gene_start > near[1]:
        text = reversed_strand(text)
    return text[: size["seq_len_cutoff"]]


def _masked(
    text: str, start: int, between: tuple[int, int], stretches: Sequence[tuple[int, int]]
) -> str:
    """The text, which begins at ``start``, with N for stretches that overlap what is between."""
    for a, b in stretches:
        overlaps = a < between[1] and b > between[0]
        if overlaps and 0 < a - start < len(text) and 0 < b - start < len(text):
            text = text[: a - start] + "N" * (b - a) + text[b - start :]
    return text


def _number(one: Mapping[str, str], name: str, where: str) -> int:
    digits = one[name].removesuffix(".0")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise DataError(f"the {name} {one[name][:40]!r} is no whole number", where=where)
    return int(digits)


def _settings(files: SourceFiles, table: Path) -> _Settings:
    """Lengths and masked enhancers of the ``.config`` that names the table, or the usual ones."""
    lengths = dict(_DEFAULTS)
    for path in files.paths:
        if path.suffix != ".config" or len(files.head(path, _MOST_CONFIG_BYTES)) < 1:
            continue
        content = files.read(path)[:_MOST_CONFIG_BYTES].decode("utf-8", "replace")
        words = [line.split() for line in content.splitlines()]
        values = {line[0]: line[1] for line in words if len(line) >= 2}
        if table.name not in {PurePosixPath(value).name for value in values.values()}:
            continue
        for name in _DEFAULTS:
            if name in values:
                lengths[name] = _number(values, name, str(path))
        return _Settings(lengths, _enhancers(files, path, values.get("enhancer_tabix_file")))
    return _Settings(lengths)


def _enhancers(
    files: SourceFiles, config: Path, name: str | None
) -> dict[str, list[tuple[int, int]]]:
    if name is None:
        return {}
    wanted = PurePosixPath(name).name
    found = [path for path in files.paths if path.name == wanted]
    if not found:
        raise DataError(
            f"the file {wanted}, whose stretches are masked, is not there",
            where=config,
            hint="put it beside the table; without it the sequences are not the published ones",
        )
    masked: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(files.read(found[0]).decode("utf-8", "replace").splitlines(), 1):
        fields = line.split("\t")
        if len(fields) >= 3 and not line.startswith("#"):
            where = f"{found[0]}:{number}"
            place = {"start": fields[1], "end": fields[2]}
            masked.setdefault(fields[0], []).append(
                (_number(place, "start", where), _number(place, "end", where))
            )
    return masked
