"""Open a folder with transformers: whole, from local files and safetensors alone.

torch and transformers are imported when a model is opened, never with this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geneb_jax.errors import CheckpointError, GenebError, ModelError
from geneb_jax.models.adapters.folder_files import tokenizer_folder
from geneb_jax.models.load_options import LoadOptions

__all__ = ["longest_input", "open_with_transformers", "require_safetensors", "said_in_one_message"]

_NO_LIMIT = 10**9
#: Position tables that start behind the padding's id, as fairseq made them.
_SHIFTED_POSITIONS = {"camembert", "esm", "longformer", "mpnet", "roberta", "xlm-roberta"}


def require_safetensors(folder: Path) -> None:
    """Refuse a folder without any.

    Raises:
        CheckpointError: naming it.
    """
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            "there are no safetensors; pickled weights are not opened by the torch adapter",
            where=folder,
            hint="save the model again with save_pretrained",
        )


def open_with_transformers(folder: Path, options: LoadOptions, *, trusted: bool) -> tuple[Any, Any]:
    """Model, on its device and in evaluation mode, and tokenizer; from local files only.

    Raises:
        ModelError: if torch or transformers is not installed, or cannot open it.
        CheckpointError: if weights of the network are lacking.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelError(
            "the torch adapter needs torch and transformers",
            cause=str(error),
            hint='install them with `pip install "geneb-jax[torch]"`',
        ) from error
    log = transformers.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    # False and not None: transformers would otherwise ask on a terminal.
    common: dict[str, Any] = {"trust_remote_code": trusted, "local_files_only": True}
    try:
        with said_in_one_message("load", folder):
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                tokenizer_folder(folder), **common
            )
            if options.untrained:
                config = transformers.AutoConfig.from_pretrained(folder, **common)
                torch.manual_seed(options.seed)
                model = transformers.AutoModel.from_config(config, trust_remote_code=trusted)
                model = model.to(getattr(torch, options.dtype))
            else:
                model, report = transformers.AutoModel.from_pretrained(
                    folder,
                    use_safetensors=True,
                    dtype=getattr(torch, options.dtype),
                    output_loading_info=True,
                    **common,
                )
                _require_whole(report, folder)
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.eval().to(device), tokenizer


@contextmanager
def said_in_one_message(what: str, folder: Path) -> Iterator[None]:
    """Whatever transformers and the libraries below it raise on a damaged folder, as one error.

    What they raise is without limit: of a size of another type, of one that divides by zero, and
    panics of the tokenizers, which are no ``Exception``.
    """
    try:
        yield
    except GenebError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        lines = [line.strip() for line in str(error).strip().splitlines()][:2]
        reason = " ".join(lines) or type(error).__name__
        raise ModelError(f"transformers cannot {what} it ({reason:.300})", where=folder) from error


def _require_whole(report: dict[str, Any], folder: Path) -> None:
    """No weight of the network may be left at its random start; the pooler is not used."""
    missing = sorted(name for name in report["missing_keys"] if "pooler." not in name)
    wrong = sorted(str(entry) for entry in report.get("mismatched_keys", ()))
    if missing or wrong:
        names = ", ".join([*missing, *wrong][:5])
        raise CheckpointError(
            f"{len(missing) + len(wrong)} weights of the network are not in the checkpoint or of "
            f"another shape: {names}",
            where=folder,
            cause="its architecture is not the one that its config.json names",
        )


def longest_input(tokenizer: Any, config: Any) -> int | None:
    """Longest input in tokens: what the tokenizer declares, and what the position table holds."""
    positions = getattr(config, "max_position_embeddings", None)
    positions = int(positions or getattr(config, "n_positions", None) or 0)
    learned = getattr(config, "position_embedding_type", "absolute") == "absolute"
    if positions and learned and getattr(config, "model_type", "") in _SHIFTED_POSITIONS:
        positions -= (getattr(config, "pad_token_id", None) or 0) + 1
    declared = int(getattr(tokenizer, "model_max_length", None) or 0)
    known = [limit for limit in (positions, declared) if 0 < limit < _NO_LIMIT]
    return min(known) if known else None
