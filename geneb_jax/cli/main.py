"""The command line: a lazy group of verbs, and the one place where an error becomes a message.

Exit codes: 0 ok; 1 some units failed; 2 bad usage or input; 75 interrupted and resumable
(``EX_TEMPFAIL``). A verb's module is imported when the verb is used, so ``geneb-jax --help`` loads
neither jax, torch nor transformers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from geneb_jax import __version__
from geneb_jax.cli.lazy_group import LazyGroup
from geneb_jax.errors import GenebError
from geneb_jax.interruption import INTERRUPTED, hearing_signals, is_requested, settled

__all__ = ["VERBS", "command", "main"]

#: Environment variable: end with a traceback in the place of the last word.
_TRACEBACK = "GENEB_JAX_TRACEBACK"
_INTERRUPTED = "interrupted; everything finished is kept, the same command resumes it."

#: Verb -> its one line in ``--help``; the verb lives in geneb_jax/cli/<verb>.py as ``command``.
VERBS = {
    "run": "Models x tasks -> embeddings -> probes -> records -> report.",
    "embed": "Embed tasks into the store, or your own sequences into a file of vectors.",
    "probe": "Fit probes on stored embeddings or on your own arrays.",
    "plan": "Show what run would do, and do nothing.",
    "report": "Write the HTML report, figures and tables from records.",
    "stats": "The paper's statistics, recomputed, with your models added.",
    "stability": "Does the ranking hold with another probe, another C.",
    "compare": "Two models or runs, paired, with intervals.",
    "recommend": "The best model for a category under a budget.",
    "list": "List models, tasks, categories, probes, presets and plug-ins.",
    "suite": "Make a suite of your own files, or of a published benchmark's.",
    "data": "Fetch, check and describe task files.",
    "verify": "A real checkpoint against embeddings recorded from it.",
    "submission": "Write and validate submission files.",
    "bench": "How fast this device embeds and probes.",
    "store": "List, verify, export and prune stored embeddings.",
    "doctor": "Devices, versions, cache places.",
}


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    module="geneb_jax.cli.{}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "Start: 'geneb-jax run' needs no arguments, no network and no data: it runs the simulated "
        "demo suite. Then: 'geneb-jax run -m kmer-4 --data-dir FOLDER --out OUT'."
    ),
)
@click.version_option(__version__, prog_name="geneb-jax")
def command() -> None:
    """GENEB on JAX: how good are frozen embeddings of a genomic foundation model?"""


def _complain(text: str) -> None:
    from geneb_jax.cli.console import complain

    try:
        complain(text)
    except OSError:  # nobody can be told; the exit code still says it
        _drop(sys.stderr)


def _usage_message(error: click.ClickException) -> str:
    """What click found wrong, as our own messages are: a sentence, and where to read on."""
    what = error.format_message().strip()
    what += "" if what.endswith((".", "?", "!")) else "."
    context = getattr(error, "ctx", None)
    return what if context is None else f"{what} See: {context.command_path} --help"


def _flush() -> None:
    if sys.stdout is not None:  # it may have been closed before we were started
        sys.stdout.flush()


def _drop_output() -> None:
    """What is still to be written to stdout cannot be; Python would try again at its end."""
    if sys.stdout is not None:
        _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _unforeseen(error: Exception) -> int:
    """The last word: a place that refuses, memory that is gone, or a defect, in one line."""
    if os.environ.get(_TRACEBACK):
        raise error
    try:
        _flush()
    except OSError:
        _drop_output()
    if isinstance(error, OSError):
        where = error.filename or "standard output, or a file without a name"
        what = f"{where!s:.200}: {error.strerror or error}."
    elif isinstance(error, MemoryError):
        what = "the memory of this machine does not suffice."
    else:
        kind = type(error).__name__
        what = f"{kind}: {' '.join(str(error).split()):.300}. This is a defect of geneb-jax."
    _complain(f"{what} What is finished is kept. {_TRACEBACK}=1 shows where it happened.")
    return GenebError.exit_code


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: What was typed after ``geneb-jax``; None: what this process was started with,
            and the process ends here.
    """
    with hearing_signals(to_the_end=arguments is None):
        try:
            code = settled(_outcome_of(arguments))
        except KeyboardInterrupt:  # between two lines of ours
            code = settled(INTERRUPTED)
    sys.exit(code)


def _outcome_of(arguments: Sequence[str] | None) -> int:
    """Run a verb, say what went wrong, and give the exit code."""
    try:
        outcome = command.main(
            args=None if arguments is None else list(arguments),
            prog_name="geneb-jax",
            standalone_mode=False,
        )
        _flush()
        code = outcome if isinstance(outcome, int) else 0
    except GenebError as error:
        _complain(error.message)
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        _complain(_usage_message(error))
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain(_INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone (`geneb-jax list tasks | head`): no error of ours.
        _drop_output()
        code = 0
    except Exception as error:
        code = _unforeseen(error)
    if is_requested():  # what the handler raised was lost, or turned into another error
        _complain(_INTERRUPTED)
        return INTERRUPTED
    return code


if __name__ == "__main__":
    main()
