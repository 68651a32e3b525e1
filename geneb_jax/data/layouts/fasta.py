"""FASTA: records of a file, and stretches of a genome.

Records are read here; a genome is read through pyfaidx (the extra ``formats``), which seeks in the
file instead of holding it.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.data.csv_columns import MAX_FILE_BYTES
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending
from geneb_jax.errors import DataError

__all__ = [
    "FASTA_ENDINGS",
    "FastaRecords",
    "Genome",
    "find_genome",
    "open_genome",
    "read_fasta",
    "reversed_strand",
]

FASTA_ENDINGS = (".fa", ".fasta", ".fna", ".ffn", ".fas")
_EXTRA = "pip install 'geneb-jax[formats]'"
_OTHER_STRAND = str.maketrans(
    "ACGTUNRYSWKMBDHVacgtunryswkmbdhv", "TGCAANYRSWMKVHDBtgcaanyrswmkvhdb"
)


def reversed_strand(sequence: str) -> str:
    """The other strand, read in its own direction; letters beyond IUPAC stay."""
    return sequence.translate(_OTHER_STRAND)[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class FastaRecords:
    """Records of a FASTA file.

    Attributes:
        path: The file.
        headers: Header lines without ``>``.
        sequences: Letters, lines joined.
        lines: Lines of the headers, counted from 1.
    """

    path: Path
    headers: Sequence[str]
    sequences: Sequence[str]
    lines: Sequence[int]


def read_fasta(files: SourceFiles, path: Path) -> FastaRecords:
    """Read the records of a FASTA file.

    Raises:
        DataError: naming file and line.
    """
    try:
        text = files.read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the FASTA file is not text", where=path) from error
    headers: list[str] = []
    sequences: list[str] = []
    lines: list[int] = []
    letters: list[str] = []
    # Lines as files have them: str.splitlines() would also cut a header at a form feed.
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.startswith(">"):
            if headers:
                sequences.append("".join(letters))
                letters = []
            headers.append(line[1:].strip())
            lines.append(number)
        elif line.startswith(";") or not line.strip():
            continue
        elif not headers:
            raise DataError(
                "a FASTA file starts with a line >name",
                where=f"{path}:{number}",
                cause="the file is no FASTA file",
            )
        else:
            letters.append("".join(line.split()))
    if not headers:
        raise DataError("the FASTA file has no record", where=path)
    sequences.append("".join(letters))
    return FastaRecords(path, headers, sequences, lines)


class Genome:
    """Stretches of the sequences of a FASTA file, in upper case.

    Args:
        path: The FASTA file, for messages.
        records: pyfaidx's view of it.
    """

    def __init__(self, path: Path, records: Any) -> None:
        self.path = path
        self._records = records
        self._names: dict[str, str] = {}
        for name in records.keys():
            # Ensembl says 1 and ENST0001.2 where other tables say chr1 and ENST0001.
            for alias in (name, name.removeprefix("chr"), f"chr{name}", name.partition(".")[0]):
                self._names.setdefault(alias, name)
        self._names.update({name: name for name in records.keys()})

    def length_bp(self, region: str, where: str) -> int:
        """Length of a sequence.

        Raises:
            DataError: if the genome has none of that name.
        """
        return len(self._records[self._name(region, where)])

    def fetch(self, region: str, start: int, end: int, strand: str, where: str) -> str:
        """Letters ``start`` (from 0) up to but without ``end``; cut at the sequence's end.

        Raises:
            DataError: if the genome has no such stretch; ``where`` is the row that asks.
        """
        name = self._name(region, where)
        length = len(self._records[name])
        if not 0 <= start < min(end, length):
            raise DataError(
                f"{region}:{start}-{end} is no stretch of the genome, whose {name} has {length} bp",
                where=where,
                cause=f"{self.path} is perhaps another release of the genome",
                hint="give the right one with --genome FILE",
            )
        letters = str(self._records[name][start : min(end, length)]).upper()
        return reversed_strand(letters) if strand == "-" else letters

    def _name(self, region: str, where: str) -> str:
        name = self._names.get(region)
        if name is None:
            raise DataError(
                f"the genome has no sequence {region[:80]!r}",
                where=where,
                cause=f"{self.path} is of another organism or release",
                hint="give the right one with --genome FILE",
            )
        return name


@contextmanager
def open_genome(files: SourceFiles, path: Path) -> Iterator[Genome]:
    """A genome to fetch stretches from; nothing is written beside the file.

    Raises:
        DataError: if it is no FASTA file, or pyfaidx is not installed.
    """
    try:
        import pyfaidx
    except ImportError as error:
        raise DataError(
            "reading a genome needs pyfaidx, which is not installed", where=path, hint=_EXTRA
        ) from error
    if not os.path.lexists(path):
        raise DataError("there is no such file", where=path, hint="--genome names a FASTA file")
    if files.head(path, 1) != b">":
        raise DataError(
            "the genome is no FASTA file",
            where=path,
            hint="a FASTA file starts with a line >name; give one with --genome FILE",
        )
    files.record_file(path)
    with tempfile.TemporaryDirectory(prefix="geneb-genome-") as scratch:
        plain = _unpacked(path, Path(scratch)) if path.name.endswith(".gz") else path
        try:
            records = pyfaidx.Fasta(
                str(plain.resolve()),
                indexname=str(Path(scratch) / "index.fai"),
                as_raw=True,
                duplicate_action="first",
            )
        except (
            pyfaidx.FastaIndexingError,
            pyfaidx.FastaNotFoundError,
            ValueError,
            OSError,
        ) as error:
            raise DataError(
                f"the genome cannot be indexed ({str(error).splitlines()[0][:200]})",
                where=path,
                cause="lines of unlike length, or no FASTA file",
            ) from error
        try:
            yield Genome(path, records)
        finally:
            records.close()


def _unpacked(path: Path, folder: Path) -> Path:
    import gzip
    import zlib

    target = folder / "genome.fa"
    try:
        with gzip.open(path) as packed, target.open("wb") as file:
            left = MAX_FILE_BYTES
            while left >= 0:
                block = packed.read(2**24)
                if not block:
                    return target
                left -= len(block)
                file.write(block)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the gzip file is damaged ({error})", where=path) from error
    raise DataError(f"the genome has more than {MAX_FILE_BYTES} bytes", where=path)


def find_genome(files: SourceFiles, given: Path | None) -> Path:
    """The genome that was given, or the one FASTA file of the source.

    Raises:
        DataError: if there is none, or more than one.
    """
    if given is not None:
        return given
    found = [path for path in files.paths if inner_ending(path) in FASTA_ENDINGS]
    if len(found) == 1:
        return found[0]
    raise DataError(
        "the rows are stretches of a genome, "
        + ("and more than one FASTA file is there" if found else "and no FASTA file is there"),
        where=files.source,
        cause=", ".join(os.path.relpath(path, files.root) for path in found[:3]) or None,
        hint="give the genome with --genome FILE",
    )
