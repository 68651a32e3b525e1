"""Tokenizers of the ``tokenizers`` library, built by the rules of a class of transformers.

:data:`RULES` says of each class what it starts from. A class that takes tokenizer.json as it is has
no rule; the others take its vocabulary and merges alone, or those of vocab.txt, vocab.json and
merges.txt, and lay their own normaliser, splitter and template around them.

Reference: transformers 5.24, ``models/{bert,gpt2,gpt_neox,llama,roberta}/tokenization_*.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geneb_jax.errors import CheckpointError
from geneb_jax.tokenizers.added_tokens import TokenText
from geneb_jax.tokenizers.folder_settings import FolderSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

__all__ = ["RULES", "ClassRule", "Vocabulary", "add_ends"]

_END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a model is built from.

    Attributes:
        ids: Token to id.
        merges: Pairs of pieces, the most frequent first; empty for WordPiece.
        notes: What to say of it.
    """

    ids: Mapping[str, int]
    merges: Sequence[tuple[str, str]] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassRule:
    """The rules of one class.

    Attributes:
        model: Kind of model, as tokenizer.json names it.
        files: Vocabulary files that it reads where there is no tokenizer.json.
        defaults: Its special tokens where the files name none.
        required: Special tokens that must not be null.
        build: The tokenizer from its vocabulary, before added tokens and template.
        template: Ids' names in front and behind, put on after all tokens are there; None leaves the
            template of tokenizer.json.
        keeps_template: Whether a template of tokenizer.json stays, where the settings ask for no
            begin and end tokens.
    """

    model: str
    files: tuple[str, ...]
    defaults: Mapping[str, str | None]
    required: tuple[str, ...]
    build: Callable[[Vocabulary, FolderSettings, Mapping[str, TokenText]], Library]
    template: Callable[[Library, Mapping[str, TokenText]], None] | None = None
    keeps_template: bool = True


def _bert(
    vocabulary: Vocabulary, settings: FolderSettings, named: Mapping[str, TokenText]
) -> Library:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    library = Tokenizer(models.WordPiece(dict(vocabulary.ids), unk_token=str(named["unk_token"])))
    library.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.flag("tokenize_chinese_chars", True),
        strip_accents=settings.open_flag("strip_accents"),
        lowercase=settings.flag("do_lower_case", True),
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return library


def _bert_template(library: Library, named: Mapping[str, TokenText]) -> None:
    _frame(library, str(named["cls_token"]), str(named["sep_token"]))


def _roberta_template(library: Library, named: Mapping[str, TokenText]) -> None:
    _frame(library, str(named["cls_token"]), str(named["sep_token"]))


def _byte_level(
    vocabulary: Vocabulary, settings: FolderSettings, named: Mapping[str, TokenText]
) -> Library:
    from tokenizers import Tokenizer, models, pre_tokenizers

    library = Tokenizer(
        models.BPE(
            vocab=dict(vocabulary.ids),
            merges=list(vocabulary.merges),
            continuing_subword_prefix="",
            end_of_word_suffix="",
            fuse_unk=False,
        )
    )
    library.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=settings.flag("add_prefix_space", False)
    )
    return library


def _neox(
    vocabulary: Vocabulary, settings: FolderSettings, named: Mapping[str, TokenText]
) -> Library:
    from tokenizers import normalizers

    library = _byte_level(vocabulary, settings, named)
    library.normalizer = normalizers.NFC()
    return library


def _llama(
    vocabulary: Vocabulary, settings: FolderSettings, named: Mapping[str, TokenText]
) -> Library:
    from tokenizers import Tokenizer, models, pre_tokenizers

    library = Tokenizer(
        models.BPE(
            vocab=dict(vocabulary.ids),
            merges=list(vocabulary.merges),
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefix = settings.open_flag("add_prefix_space")
    scheme = "never" if prefix is False else "always" if settings.flag("legacy", False) else "first"
    library.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement="▁", prepend_scheme=scheme, split=False
    )
    return library


def add_ends(library: Library, bos: str | None, eos: str | None) -> None:
    """Put these tokens, which the vocabulary has, in front and behind; None for none."""
    _frame(library, bos, eos)


def _frame(library: Library, front: str | None, behind: str | None) -> None:
    from tokenizers import processors

    tokens = {token: library.token_to_id(token) for token in (front, behind) if token is not None}
    missing = [token for token, index in tokens.items() if index is None]
    if missing:
        raise CheckpointError(f"the special token {missing[0]!r} is not in the vocabulary")
    pieces = [*([front] if front is not None else []), "$A"]
    pieces += [behind] if behind is not None else []
    library.post_processor = processors.TemplateProcessing(
        single=pieces, special_tokens=list(tokens.items())
    )


_BERT = ClassRule(
    model="WordPiece",
    files=("vocab.txt",),
    defaults={
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    },
    required=("unk_token", "sep_token", "cls_token"),
    build=_bert,
    template=_bert_template,
)
_GPT2_TOKENS = {"unk_token": _END_OF_TEXT, "bos_token": _END_OF_TEXT, "eos_token": _END_OF_TEXT}

RULES: Mapping[str, ClassRule] = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "GPT2Tokenizer": ClassRule(
        model="BPE",
        files=("vocab.json", "merges.txt"),
        defaults=_GPT2_TOKENS,
        required=(),
        build=_byte_level,
    ),
    "GPTNeoXTokenizer": ClassRule(
        model="BPE",
        files=("vocab.json", "merges.txt"),
        defaults={**_GPT2_TOKENS, "pad_token": "<|padding|>"},
        required=(),
        build=_neox,
        keeps_template=False,
    ),
    "LlamaTokenizer": ClassRule(
        model="BPE",
        files=(),
        defaults={"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
        required=(),
        build=_llama,
    ),
    "RobertaTokenizer": ClassRule(
        model="BPE",
        files=("vocab.json", "merges.txt"),
        defaults={
            "bos_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "cls_token": "<s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "mask_token": "<mask>",
        },
        required=("sep_token", "cls_token"),
        build=_byte_level,
        template=_roberta_template,
    ),
}
