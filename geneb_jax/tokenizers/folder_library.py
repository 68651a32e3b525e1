"""A folder's tokenizer as a ``tokenizers`` object: the vocabulary, the class's rules, added tokens.

The steps and their order are those of transformers 5.24 (``TokenizersBackend``), because the ids of
tokens that join the vocabulary follow from the order. What the files say and transformers does not
do is not done either, and noted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from geneb_jax.errors import CheckpointError
from geneb_jax.tokenizers.added_tokens import AddedToken, TokenText, token_id
from geneb_jax.tokenizers.folder_files import (
    FolderFiles,
    json_object,
    repeated_note,
    vocabulary_lines,
)
from geneb_jax.tokenizers.folder_settings import FolderSettings, Side
from geneb_jax.tokenizers.library_rules import RULES, ClassRule, Vocabulary, add_ends

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

__all__ = ["FolderLibrary", "TokenizerJson", "build_library", "guarded", "read_tokenizer_json"]

TOKENIZER_JSON = "tokenizer.json"
ResultT = TypeVar("ResultT")
#: White space at the end of a line, by Unicode; tokenizers takes it off a vocab.txt.
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_MISTRAL_VOCABULARY = 100_000


@dataclass(frozen=True, slots=True)
class TokenizerJson:
    """A tokenizer.json, parsed twice: by us for what it says, by the library for what it does."""

    content: Mapping[str, Any]
    library: Library
    byte_level: bool

    @property
    def model(self) -> str:
        """Kind of its model: BPE, WordPiece, WordLevel or Unigram."""
        return type(self.library.model).__name__


@dataclass(frozen=True, slots=True)
class FolderLibrary:
    """What :func:`build_library` found.

    Attributes:
        library: The tokenizer, without truncation and padding.
        side: Which end an overlong sequence loses.
        pad: Text of the padding token, None without one.
        notes: What was read otherwise than it is written.
    """

    library: Library
    side: Side
    pad: str | None
    notes: tuple[str, ...]


def guarded(call: Callable[[], ResultT], *, where: object, what: str) -> ResultT:
    """A call of the library, whose bare exceptions and panics become messages.

    Raises:
        CheckpointError: if it fails, with the library's reason.
    """
    try:
        return call()
    except CheckpointError:
        raise
    except BaseException as error:
        panicked = type(error).__name__ == "PanicException"
        if not panicked and not isinstance(error, Exception):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{what} ({reason:.200})", where=where) from error


def read_tokenizer_json(files: FolderFiles) -> TokenizerJson | None:
    """The folder's tokenizer.json; None without one.

    Raises:
        CheckpointError: if it is not one.
    """
    content = files.content(TOKENIZER_JSON)
    if content is None:
        return None
    from tokenizers import Tokenizer

    where = files.path(TOKENIZER_JSON)
    parsed = json_object(content, where=where)
    _require_bounded(parsed, str(where))
    library = guarded(
        lambda: Tokenizer.from_buffer(content), where=where, what="not a tokenizer file"
    )
    if getattr(library.model, "dropout", None):
        raise CheckpointError(
            f"its BPE drops merges at random (dropout {library.model.dropout})",
            where=where,
            cause="a sequence would have another embedding each time",
            hint="set dropout to null",
        )
    return TokenizerJson(parsed, library, b'"ByteLevel"' in content)


def _require_bounded(parsed: Mapping[str, Any], where: str) -> None:
    """Refuse what the library would take gigabytes for, or fail at without a reason.

    Raises:
        CheckpointError: for an id beyond any vocabulary, or a template that names no token.
    """
    model = parsed.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        for token, index in vocabulary.items():
            if isinstance(index, str):
                raise CheckpointError(f"the id of {token!r:.60} is a text", where=where)
            token_id(index, where=where)
    if isinstance(model, dict):
        _require_prefixed(model, where)
    processors = [parsed.get("post_processor")]
    while processors:
        processor = processors.pop()
        if not isinstance(processor, dict):
            continue
        inner = processor.get("processors")
        processors += inner if isinstance(inner, list) else []
        pieces = processor.get("single")
        known = processor.get("special_tokens")
        for piece in pieces if isinstance(pieces, list) else ():
            special = piece.get("SpecialToken") if isinstance(piece, dict) else None
            name = special.get("id") if isinstance(special, dict) else None
            if isinstance(name, str) and not (isinstance(known, dict) and name in known):
                raise CheckpointError(
                    f"its template puts {name!r:.60}, which is not among its special_tokens",
                    where=where,
                )


def _require_prefixed(model: Mapping[str, Any], where: str) -> None:
    """The library cuts a BPE's prefix off every second piece, whether it is there or not."""
    prefix, merges = model.get("continuing_subword_prefix"), model.get("merges")
    if not isinstance(prefix, str) or not prefix or not isinstance(merges, list):
        return
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        second = pair[-1] if isinstance(pair, list) and pair else None
        if isinstance(second, str) and not second.startswith(prefix):
            raise CheckpointError(
                f"the merge {pair!r:.60} lacks the continuing_subword_prefix {prefix!r:.60}",
                where=where,
            )


def build_library(
    name: str, files: FolderFiles, settings: FolderSettings, found: TokenizerJson | None
) -> FolderLibrary:
    """The tokenizer of a class that the ``tokenizers`` library carries out.

    Args:
        name: One of :data:`~geneb_jax.tokenizers.tokenizer_class.CLASSES` but ``EsmTokenizer``.
        files: The folder.
        settings: What its other files say.
        found: Its tokenizer.json, None without one.

    Raises:
        CheckpointError: if files are missing, contradict the class, or cannot be used.
    """
    rule = RULES.get(name)
    defaults = dict(rule.defaults) if rule else {}
    truncation = found.library.truncation if found else None
    padding = found.library.padding if found else None
    if padding and not rule:
        defaults["pad_token"] = padding["pad_token"]
    side = settings.side(truncation["direction"] if truncation else None)
    named = settings.special_tokens(defaults)
    notes = list(_notes_of_blocks(files, truncation))
    where = files.path(TOKENIZER_JSON if found else rule.files[0] if rule and rule.files else "")
    if rule is None:
        if found is None:
            raise _missing(files, name)
        library = found.library
    else:
        _require_named(rule, named, name, settings)
        vocabulary = _vocabulary(rule, name, files, found)
        library = guarded(
            lambda: rule.build(vocabulary, settings, named), where=where, what="no vocabulary"
        )
        notes += vocabulary.notes
        if found is not None:
            if rule.keeps_template:
                library.post_processor = found.library.post_processor
            notes += _contradictions(name, library, found, files)
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = bool(settings.flag("split_special_tokens", False))
    guarded(
        lambda: _add_tokens(library, settings, named), where=where, what="tokens cannot be added"
    )
    _set_ends(library, settings, named, has_file=found is not None)
    if rule is not None and rule.template is not None:
        rule.template(library, named)
    if settings.values.get("fix_mistral_regex") and library.get_vocab_size() > _MISTRAL_VOCABULARY:
        raise CheckpointError("fix_mistral_regex is not supported", where=settings.where)
    pad = named.get("pad_token")
    return FolderLibrary(library, side, None if pad is None else str(pad), tuple(notes))


def _missing(files: FolderFiles, name: str) -> CheckpointError:
    pieces = [path.name for path in sorted(files.folder.glob("*.model"))]
    if pieces:
        return CheckpointError(
            f"no tokenizer: {pieces[0]} (SentencePiece or tiktoken) alone is not read",
            where=files.folder,
            hint="load it once with transformers and save it as a tokenizer.json "
            "(tokenizer.save_pretrained)",
        )
    return CheckpointError(
        f"no tokenizer: there is no tokenizer.json, which {name} needs",
        where=files.folder,
        hint="save the fast tokenizer into the folder (tokenizer.save_pretrained)",
    )


def _require_named(
    rule: ClassRule, named: Mapping[str, TokenText], name: str, settings: FolderSettings
) -> None:
    for token in rule.required:
        if token not in named:
            raise CheckpointError(f"{token} is null, {name} needs one", where=settings.where)


def _vocabulary(
    rule: ClassRule, name: str, files: FolderFiles, found: TokenizerJson | None
) -> Vocabulary:
    if found is None:
        return _vocabulary_files(rule, name, files)
    where = files.path(TOKENIZER_JSON)
    if found.model != rule.model:
        raise CheckpointError(
            f"its model is {found.model}, the tokenizer class {name} is {rule.model}",
            where=where,
            cause="transformers would build another tokenizer from its vocabulary than the file's",
            hint="if the file is right, write "
            '{"tokenizer_class": "PreTrainedTokenizerFast"} into tokenizer_config.json',
        )
    model = found.content["model"]
    merges = [
        (pair[0], pair[1])
        for merge in model.get("merges", ())
        for pair in [merge.split(" ") if isinstance(merge, str) else merge]
    ]
    return Vocabulary(model["vocab"], merges)


def _vocabulary_files(rule: ClassRule, name: str, files: FolderFiles) -> Vocabulary:
    texts = [files.text(file) for file in rule.files]
    missing = [file for file, text in zip(rule.files, texts, strict=True) if text is None]
    if missing or not texts:
        if len(missing) == len(texts):
            raise _missing(files, name)
        raise CheckpointError(
            f"no tokenizer: there is no {missing[0]} and no tokenizer.json",
            where=files.folder,
            hint="save the tokenizer into the folder (tokenizer.save_pretrained)",
        )
    first = files.path(rule.files[0])
    if rule.files == ("vocab.txt",):
        lines = vocabulary_lines(texts[0] or "", where=first)
        tokens = [line.rstrip(_BLANKS) for line in lines]
        notes = repeated_note(tokens, where=first)
        return Vocabulary({token: row for row, token in enumerate(tokens)}, notes=notes)
    ids = json_object((texts[0] or "").encode(), where=first)
    for token, index in ids.items():
        if isinstance(index, str):
            raise CheckpointError(f"the id of {token!r:.60} is a text", where=first)
        token_id(index, where=str(first))
    return Vocabulary(ids, _merges(texts[1] or "", where=files.path(rule.files[1])))


def _merges(text: str, *, where: object) -> list[tuple[str, str]]:
    """The pairs of a merges.txt: two pieces a line, ``#version`` lines aside."""
    merges = []
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    for row, line in enumerate(lines, 1):
        if line.startswith("#version"):
            continue
        pair = line.removesuffix("\r").split(" ")
        if len(pair) != 2:
            raise CheckpointError(
                f"{line!r:.60} is not two pieces with a space between", where=f"{where}:{row}"
            )
        merges.append((pair[0], pair[1]))
    return merges


def _add_tokens(library: Library, settings: FolderSettings, named: Mapping[str, TokenText]) -> None:
    """Let tokens join in transformers' order: by id, then special ones by name, then the rest."""
    present = {_key(token) for token in library.get_added_tokens_decoder().values()}
    known = {token.content for token in library.get_added_tokens_decoder().values()}
    joining: list[TokenText] = [
        token for _, token in sorted(settings.added.items()) if _key(token) not in present
    ]
    known |= {str(token) for token in joining}
    for token in (*named.values(), *settings.extra_tokens()):
        if str(token) not in known and token not in joining:
            joining.append(token)
    if not joining:
        return
    from tokenizers import AddedToken as LibraryToken

    names = {str(token) for token in named.values()}
    added = []
    for token in joining:
        if isinstance(token, str):
            token = AddedToken(token, normalized=False, special=True)
        elif str(token) in names:
            token = token.as_special()
        added.append(LibraryToken(**dict(zip(_FIELDS, _key(token), strict=True))))
    library.add_tokens(added)


_FIELDS = ("content", "lstrip", "rstrip", "single_word", "normalized", "special")


def _key(token: Any) -> tuple[Any, ...]:
    """What makes a token, ours or the library's, the same as another."""
    return tuple(getattr(token, name) for name in _FIELDS)


def _set_ends(
    library: Library, settings: FolderSettings, named: Mapping[str, TokenText], *, has_file: bool
) -> None:
    """Begin and end tokens by ``add_bos_token``, ``add_eos_token``; a tokenizer.json overrules."""
    flags = {} if has_file else settings.values
    asked = "add_bos_token" in flags or "add_eos_token" in flags
    if not asked and library.post_processor is not None:
        return
    ends: list[str | None] = []
    for flag, name in (("add_bos_token", "bos_token"), ("add_eos_token", "eos_token")):
        wanted = bool(flags and settings.flag(flag, False)) and name in named
        ends.append(str(named[name]) if wanted else None)
    add_ends(library, ends[0], ends[1])


def _notes_of_blocks(files: FolderFiles, truncation: Mapping[str, Any] | None) -> list[str]:
    if not truncation:
        return []
    return [
        f"{files.path(TOKENIZER_JSON)}: truncation to {truncation['max_length']} tokens is not "
        "applied, as transformers does not apply it; its side is"
    ]


def _contradictions(
    name: str, library: Library, found: TokenizerJson, files: FolderFiles
) -> list[str]:
    """Where the class overrules its tokenizer.json."""
    built = json.loads(library.to_str())
    differing = [
        part
        for part in ("normalizer", "pre_tokenizer")
        if _plain(built.get(part)) != _plain(found.content.get(part))
    ]
    if not differing:
        return []
    return [
        f"{files.path(TOKENIZER_JSON)}: the class {name} and its settings give another "
        f"{' and '.join(differing)}; transformers follows the class, and so it is done here"
    ]


def _plain(part: object) -> object:
    """A part without keys that say nothing."""
    if not isinstance(part, dict):
        return part
    return {key: value for key, value in part.items() if value is not None}
