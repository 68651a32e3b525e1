"""Options that a source has no use for are refused: the user meant something by them."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.data.layouts.found_tasks import FoundTask
from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.data.layouts.source_files import SourceFiles
from geneb_jax.errors import DataError

__all__ = ["require_used"]


def require_used(files: SourceFiles, tasks: Sequence[FoundTask], options: ImportOptions) -> None:
    """Refuse options that none of the tasks has used.

    Args:
        files: The source, its tasks read.
        tasks: The tasks; nothing is asked of a source without any.
        options: What the user says.

    Raises:
        DataError: naming the option.
    """
    splits = [part.splits for task in tasks for part in task.parts]
    if not splits:
        return
    if options.splits and all(isinstance(one, str) for one in splits):
        raise DataError(
            "--splits is given, and no file has a column that is known to be the split",
            where=files.source,
            hint="name it: --columns split=COLUMN; or leave --splits out",
        )
    if options.test_share is not None and "unknown" not in splits:
        raise DataError(
            "--test-share is given, and the files say of every row whether it is train or test",
            where=files.source,
            hint="leave it out; or give one file without a column of splits",
        )
    read = {one.path for one in files.reads}
    for option, path in (("--labels", options.labels), ("--genome", options.genome)):
        if path is not None and files.relative(path) not in read:
            raise DataError(
                f"{option} {path} is given, and no task here has a use for it",
                where=files.source,
                cause="a genome is for tables of stretches, labels are for FASTA and BED files",
                hint="leave it out, or give the source that it belongs to",
            )
