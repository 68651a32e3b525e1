"""Which class of transformers reads a folder's tokenizer files, and so by which rules.

The class decides more than the files: BertTokenizer lays its own normaliser over a tokenizer.json
that says otherwise, TokenizersBackend takes the file as it is, EsmTokenizer reads vocab.txt only.
Reference: transformers 5.24 ``AutoTokenizer.from_pretrained``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geneb_jax.errors import CheckpointError

__all__ = ["CLASSES", "ClassChoice", "choose_class"]

#: Takes tokenizer.json as it is: also under its older name, and for names that are only bases.
PLAIN = "TokenizersBackend"
_PLAIN_NAMES = (PLAIN, "PreTrainedTokenizer", "PythonBackend", "Bloom", "BloomTokenizer")
#: The classes whose rules are known here.
CLASSES = (
    PLAIN,
    "BertTokenizer",
    "DistilBertTokenizer",
    "EsmTokenizer",
    "GPT2Tokenizer",
    "GPTNeoXTokenizer",
    "LlamaTokenizer",
    "RobertaTokenizer",
)
#: The class that transformers registers for a ``model_type`` that a family here claims; other
#: types have none. A registered :data:`PLAIN` is never overruled by the name in a file.
_REGISTERED: Mapping[str, str] = {
    "bert": "BertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "esm": "EsmTokenizer",
    "gpt2": "GPT2Tokenizer",
    "mamba": "GPTNeoXTokenizer",
    "mamba2": "GPTNeoXTokenizer",
    "mistral": PLAIN,
    "olmo": "GPTNeoXTokenizer",
    "olmo2": PLAIN,
    "roberta": "RobertaTokenizer",
    "roformer": "RoFormerTokenizer",
}
#: transformers loads these by :data:`PLAIN` whatever their files name.
_OVERRULED = ("modernbert", "jamba", "phi3", "qwen2")


@dataclass(frozen=True, slots=True)
class ClassChoice:
    """The class and where its name is from.

    Attributes:
        name: One of :data:`CLASSES`.
        source: What named it, for messages.
    """

    name: str
    source: str


def choose_class(
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    where: str,
    byte_level: bool,
) -> ClassChoice:
    """The class that AutoTokenizer makes.

    Args:
        settings: The content of tokenizer_config.json.
        config: The content of config.json.
        where: tokenizer_config.json, for messages.
        byte_level: Whether tokenizer.json names ByteLevel.

    Raises:
        CheckpointError: for a class whose rules are not known here, or in the folder's own code.
    """
    named = _text(settings, "tokenizer_class", where)
    source = "tokenizer_config.json"
    if named is None:
        named, source = _text(config, "tokenizer_class", "config.json"), "config.json"
    model_type = _text(config, "model_type", "config.json") or ""
    registered = _REGISTERED.get(model_type)
    by_type = f"model_type {model_type!r} in config.json"
    if _own_code(settings, where) and (named is None or _bare(named) not in CLASSES):
        raise CheckpointError(
            f"its tokenizer {named or ''} is code of its own (auto_map), which is never run here",
            where=where,
            hint="save it as a tokenizer.json (tokenizer_class PreTrainedTokenizerFast)",
        )
    if model_type in _OVERRULED or (registered == PLAIN and named is not None):
        return ClassChoice(PLAIN, by_type)
    if named is None:
        return _known(registered or PLAIN, by_type if registered else "no file", where)
    if _bare(named) == "LlamaTokenizer" and byte_level:
        return ClassChoice(PLAIN, "ByteLevel in tokenizer.json")
    return _known(_bare(named), source, where)


def _known(name: str, source: str, where: str) -> ClassChoice:
    if name in _PLAIN_NAMES:
        return ClassChoice(PLAIN, source)
    if name not in CLASSES:
        raise CheckpointError(
            f"the rules of the tokenizer class {name} (from {source}) are not known here",
            where=where,
            cause=f"known are {', '.join(CLASSES)}",
            hint="where tokenizer.json says all, set tokenizer_class to PreTrainedTokenizerFast; "
            "transformers runs any AutoTokenizer: -m torch:FOLDER",
        )
    return ClassChoice(name, source)


def _bare(name: str) -> str:
    bare = name.removesuffix("Fast")
    return PLAIN if bare in _PLAIN_NAMES else bare


def _own_code(settings: Mapping[str, Any], where: str) -> bool:
    code = settings.get("auto_map")
    if code is None:
        return False
    if isinstance(code, dict):
        return code.get("AutoTokenizer") is not None
    if isinstance(code, list):
        return bool(code)
    raise CheckpointError(f"auto_map is {code!r:.60}, expected an object", where=where)


def _text(values: Mapping[str, Any], key: str, where: str) -> str | None:
    value = values.get(key)
    if value is None or isinstance(value, str):
        return value
    raise CheckpointError(f"{key} is {value!r:.60}, expected a name", where=where)
