"""sentence-transformers folders: what comes after the network, and what goes before it.

``modules.json`` lists modules that run one after the other. Transformer, Pooling and Normalize are
applied; any other is refused by name, as is a setting that would change a number and is not built.
Reference: sentence-transformers 6.2 (``base/modules/transformer.py``, ``pooling.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from geneb_jax.errors import CheckpointError
from geneb_jax.strict_json import read_json
from geneb_jax.tokenizers import KmerTokenizer, LibraryTokenizer, Tokenizer

__all__ = ["SentenceFolder", "read_sentence_folder"]

MODULES = "modules.json"
_OWN_PACKAGE = "sentence_transformers."
_NORMALIZED = "+normalize"
#: sentence-transformers' name to ours.
_POOLINGS = {"mean": "mean", "cls": "cls", "max": "max", "lasttoken": "last"}
#: Keys of older versions, one a pooling.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
#: Where the settings of the Transformer may be, the first that is there.
_SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}
#: Keys of the Transformer's settings with the values that change nothing here.
_HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, "token_embeddings"),
    "processing_kwargs": (None, {}),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "model_args": (None, {}),
    "model_kwargs": (None, {}),
    "tokenizer_args": (None, {}),
    "processor_kwargs": (None, {}),
    "config_args": (None, {}),
    "config_kwargs": (None, {}),
}


@dataclass(frozen=True, slots=True)
class SentenceFolder:
    """What a sentence-transformers folder says beyond its network.

    Attributes:
        network: The folder with config.json and weights: the same one, or one in it.
        pooling: Name of the pooling, ``+normalize`` behind it where embeddings are normalised.
        max_tokens: Most tokens, which overrules the tokenizer's own limit; None where unsaid.
        lower_case: Whether letters are made small first.
        notes: What of it is not used.
    """

    network: Path
    pooling: str
    max_tokens: int | None
    lower_case: bool
    notes: tuple[str, ...] = ()

    def tokenizer(self, found: Tokenizer, *, longest: int | None) -> Tokenizer:
        """The network's tokenizer with this folder's length and casing.

        Args:
            found: The tokenizer of the network's own files.
            longest: Most tokens that the network takes.

        Raises:
            CheckpointError: if it is of a kind that takes neither.
        """
        if self.lower_case and isinstance(found, LibraryTokenizer):
            found = found.in_lower_case()
        elif self.lower_case and not isinstance(found, KmerTokenizer):
            raise CheckpointError("do_lower_case is not built for it", where=self.network)
        # sentence-transformers sets a switch of EsmTokenizer that changes none of its ids.
        if self.max_tokens is None:
            return found
        limit = self.max_tokens if longest is None else min(longest, self.max_tokens)
        if isinstance(found, LibraryTokenizer | KmerTokenizer):
            return found.with_limit(limit)
        if limit != found.max_tokens:
            raise CheckpointError("max_seq_length is not built for it", where=self.network)
        return found

    def overruled(self, asked: str | None) -> tuple[str, ...]:
        """What to say where another pooling than the folder's is asked for."""
        if asked in (None, self.pooling):
            return ()
        return (
            f"{self.network}: pooling {asked} is asked for; that of modules.json is {self.pooling}",
        )


def read_sentence_folder(folder: Path) -> SentenceFolder | None:
    """The folder's modules; None where it has no ``modules.json``.

    Raises:
        CheckpointError: for a module or setting that is not built, or a file that cannot be read.
    """
    where = folder / MODULES
    modules = _read(where)
    if modules is None:
        return None
    kinds = _module_kinds(modules, where)
    names = [kind for kind, _ in kinds]
    others = [name for name in names if name not in ("Transformer", "Pooling", "Normalize")]
    if others:
        raise CheckpointError(
            f"the module {others[0]} is not built",
            where=where,
            cause="Transformer, Pooling and Normalize are",
            hint="transformers and sentence-transformers run it: give the model as path.py:Class",
        )
    if names[:2] != ["Transformer", "Pooling"] or set(names[2:]) > {"Normalize"}:
        raise CheckpointError(
            f"its modules are {', '.join(names) or 'none'}",
            where=where,
            cause="a Transformer and a Pooling, then Normalize or nothing, are built",
        )
    network, pooling = kinds[0][1], kinds[1][1]
    name = _pooling(folder / pooling / "config.json")
    for _, path in kinds[2:]:
        _require_plain_normalize(folder / path / "config.json")
        name = name.removesuffix(_NORMALIZED) + _NORMALIZED
    limit, lower_case = _transformer(folder / network)
    notes = _whole_model(folder / "config_sentence_transformers.json")
    return SentenceFolder(folder / network, name, limit, lower_case, notes)


def _module_kinds(modules: object, where: Path) -> list[tuple[str, str]]:
    """Class name and folder of each module, in order."""
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise CheckpointError("is no list of modules", where=where)
    kinds = []
    for module in modules:
        kind, path = module.get("type"), module.get("path")
        if not isinstance(kind, str) or not isinstance(path, str):
            raise CheckpointError("a module without type or path", where=where)
        parts = PurePosixPath(path).parts
        if PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path or "\0" in path:
            raise CheckpointError(f"the path {path!r:.60} leaves the folder", where=where)
        if not kind.startswith(_OWN_PACKAGE):
            raise CheckpointError(
                f"the module {kind:.80} is code of the model's own, which is never run here",
                where=where,
            )
        kinds.append((kind.rsplit(".", 1)[-1], path))
    return kinds


def _pooling(where: Path) -> str:
    settings = _settings(where)
    if settings is None:
        raise CheckpointError("the settings of the pooling are missing", where=where)
    asked = settings.get("pooling_mode")
    flags = {key: value for key, value in settings.items() if key.startswith("pooling_mode_")}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise CheckpointError(f"{key} is {value!r:.60}, expected true or false", where=where)
        if key not in _FLAGS and value:
            raise CheckpointError(f"the pooling {key} is not known here", where=where)
    if asked is None:
        asked = [_FLAGS[key] for key in _FLAGS if flags.get(key)] or ["mean"]
    modes = [asked] if isinstance(asked, str) else asked
    if not isinstance(modes, list) or not modes or not all(isinstance(m, str) for m in modes):
        raise CheckpointError(f"pooling_mode is {asked!r:.60}, expected a name", where=where)
    if len(modes) > 1 or modes[0] not in _POOLINGS:
        raise CheckpointError(
            f"the pooling {' + '.join(modes)} is not built",
            where=where,
            cause=f"{', '.join(_POOLINGS)} are, one at a time",
        )
    return _POOLINGS[modes[0]]


def _require_plain_normalize(where: Path) -> None:
    settings = _settings(where) or {}
    for key in ("module_input_name", "module_output_name"):
        if settings.get(key) not in (None, "sentence_embedding"):
            raise CheckpointError(f"{key} = {settings[key]!r:.60} is not built", where=where)


def _transformer(folder: Path) -> tuple[int | None, bool]:
    """``max_seq_length`` and ``do_lower_case``; every other key must change nothing."""
    found = ((folder / name, _settings(folder / name)) for name in _SETTINGS)
    where, settings = next(
        ((path, values) for path, values in found if values), (folder / _SETTINGS[0], {})
    )
    for key, harmless in _HARMLESS.items():
        if settings.get(key) not in harmless:
            raise CheckpointError(f"{key} = {settings[key]!r:.60} is not built", where=where)
    modality = settings.get("modality_config")
    if modality is not None and (not isinstance(modality, dict) or modality.get("text") != _TEXT):
        raise CheckpointError("its modality_config is not the plain one of texts", where=where)
    lower_case = settings.get("do_lower_case", False)
    if not isinstance(lower_case, bool):
        raise CheckpointError(f"do_lower_case is {lower_case!r:.60}", where=where)
    limit = settings.get("max_seq_length")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise CheckpointError(
            f"max_seq_length is {limit!r:.60}, expected a number of tokens", where=where
        )
    return limit, lower_case


def _whole_model(where: Path) -> tuple[str, ...]:
    """Refuse what config_sentence_transformers.json adds to every text; note what it does not."""
    settings = _settings(where) or {}
    kind = settings.get("model_type")
    if kind not in (None, "SentenceTransformer"):
        raise CheckpointError(f"it is a {kind!r:.60}, no SentenceTransformer", where=where)
    if settings.get("truncate_dim") is not None:
        raise CheckpointError("truncate_dim is not built", where=where)
    prompts = settings.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(v, str) for v in prompts.values()):
        raise CheckpointError("prompts are no object of texts", where=where)
    default = settings.get("default_prompt_name")
    if default is not None and not isinstance(default, str):
        raise CheckpointError(f"default_prompt_name is {default!r:.60}", where=where)
    if default is not None and prompts.get(default, None) != "":
        raise CheckpointError(
            f"the prompt {default!r:.60} would be put before every sequence, which is not built",
            where=where,
            hint="set default_prompt_name to null to embed without it",
        )
    unused = [f"{name!r:.40}" for name, text in prompts.items() if text]
    if not unused:
        return ()
    return (f"{where}: the prompts {', '.join(unused)} are not used",)


def _settings(where: Path) -> dict[str, Any] | None:
    found = _read(where)
    if found is not None and not isinstance(found, dict):
        raise CheckpointError("is not a JSON object", where=where)
    return found


def _read(where: Path) -> Any:
    """A JSON file; None where there is none."""
    try:
        return read_json(where)
    except FileNotFoundError as error:
        if where.is_symlink():
            raise CheckpointError(str(error.strerror), where=where) from error
        return None
    except NotADirectoryError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(f"cannot be read: {reason}", where=where) from error
