"""Any transformers ``AutoModel`` as a model: what no native family covers yet.

The whole checkpoint is brought into a folder first; transformers only ever sees that folder.
Weights come from safetensors alone, so nothing is unpickled. Code that the repository brings along
runs only with the user's permission for exactly that commit
(:mod:`geneb_jax.models.adapters.remote_code`).

torch and transformers are imported when a model is loaded, never with this module.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.errors import CheckpointError, GenebError, ModelError, SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.folder_files import (
    FolderFiles,
    adapter_base,
    require_bounded_depth,
    tokenizer_folder,
)
from geneb_jax.models.adapters.remote_code import AllowedCode, parse_allowed_code, require_allowed
from geneb_jax.models.checkpoints.hub import HubSnapshot, download_repository
from geneb_jax.models.encoder import Encoder, SequenceEncoder, TextCounts
from geneb_jax.models.layers.network import require_layer
from geneb_jax.models.load_options import LoadOptions
from geneb_jax.models.model_folder import (
    looks_like_a_path,
    model_folder,
    named_path,
    no_folder,
)
from geneb_jax.models.pooling import NORMALIZED, require_pooling
from geneb_jax.models.registry import find_spec
from geneb_jax.models.variants import joint_identity

__all__ = ["PREFIX", "TorchEncoder", "load_torch_encoder"]

#: ``-m torch:NAME`` asks for this adapter.
PREFIX = "torch:"

#: Device kind -> tokens and most rows of a batch. A row's last bits follow from the shape that it
#: ran in, so shapes follow from a sequence's own length, and batches are filled up.
_BATCHES = {"cpu": (2048, 16)}
_BATCHES_ELSEWHERE = (16384, 64)
#: Lengths in an octave, as a power of two: at most an eighth of a row is padding.
_RUNGS_LOG2 = 3
_NO_LIMIT = 10**9
#: Position tables that start behind the padding's id, as fairseq made them.
_SHIFTED_POSITIONS = {"camembert", "esm", "longformer", "mpnet", "roberta", "xlm-roberta"}


class TorchEncoder(SequenceEncoder):
    """A torch model with its tokenizer.

    Args:
        model: Takes ``input_ids`` and gives hidden states; on its device, in evaluation mode.
        tokenizer: Of transformers.
        identity: The store key; its ``pooling`` and ``layer`` are what :meth:`embed` computes.
        limit: Longest input in tokens; None for none.
        variants: Layers and poolings whose vectors stand side by side in a row; the identity's one
            when None.
        widths: Layer -> width, as far as it is known; learnt from the model otherwise.
    """

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        identity: EncoderIdentity,
        limit: int | None,
        variants: Sequence[tuple[int, str]] | None = None,
        widths: dict[int, int] | None = None,
    ) -> None:
        self._variants = tuple(variants or [(identity.layer, identity.pooling)])
        self._model = model
        self._tokenizer = tokenizer
        self._identity = identity
        self._limit = self.longest_tokens = limit
        parameters = inspect.signature(model.forward).parameters
        open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        self._takes_mask = open_ended or "attention_mask" in parameters
        self._widths = {} if widths is None else widths
        layers = [layer for layer, _ in self._variants]
        self._width = 0
        if not set(layers) <= set(self._widths):
            self._width = self.embed(["ACGT"]).shape[1]
            if len(layers) == 1:
                self._widths[layers[0]] = self._width
        else:
            self._width = sum(self._widths[layer] for layer in layers)

    @property
    def identity(self) -> EncoderIdentity:
        """The store key of this encoder's embeddings."""
        return self._identity

    @property
    def width(self) -> int:
        """Length of one embedding."""
        return self._width

    @property
    def vectors(self) -> tuple[tuple[str, int], ...]:
        """Of each layer and pooling that stands in a row."""
        if len(self._variants) == 1:
            return ((self._variants[0][1], self._width),)
        return tuple((pooling, self._widths[layer]) for layer, pooling in self._variants)

    @property
    def parameter_count(self) -> int:
        """Number of the model's parameters."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def layer_count(self) -> int | None:
        """Number of layers; None where the model's config does not say it."""
        count = getattr(getattr(self._model, "config", None), "num_hidden_layers", None)
        return count if isinstance(count, int) else None

    def variant(self, layer: int, pooling: str | None) -> TorchEncoder:
        """The same model, pooled otherwise; see :meth:`Encoder.variant`."""
        count = self.layer_count
        identity = replace(
            self._identity,
            layer=layer if count is None else require_layer(layer, count),
            pooling=_chosen_pooling(pooling),
        )
        return self._making(identity, [(identity.layer, identity.pooling)])

    def joined(self, members: Sequence[Encoder]) -> TorchEncoder:
        """See :meth:`Encoder.joined`."""
        identities = [one.identity for one in members]
        variants = [(one.layer, one.pooling) for one in identities]
        return self._making(joint_identity(identities), variants)

    def _making(
        self, identity: EncoderIdentity, variants: Sequence[tuple[int, str]]
    ) -> TorchEncoder:
        made = TorchEncoder(
            model=self._model,
            tokenizer=self._tokenizer,
            identity=identity,
            limit=self._limit,
            variants=variants,
            widths=self._widths,
        )
        # The identity has the policy already; the rows have to be made under it too.
        made.overlong = self.overlong
        return made

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        """Embed texts: float32 ``[len(sequences), width]``; a text without tokens gives zeros."""
        tokens = self._tokenize(sequences)
        rows = np.zeros((len(tokens), self._width), np.float32)
        for members, length, count in self._batches([len(ids) for ids in tokens]):
            part = self._pooled([tokens[at] for at in members], length=length, count=count)
            if not self._width:
                return part
            rows[members] = part
        return rows

    def counts_of(self, sequences: Sequence[str]) -> TextCounts:
        """What the model makes of texts; letters other than A, C, G, T in capitals are unknown."""
        whole = self._encoded(sequences)
        cut_off = [at for at, ids in enumerate(whole) if len(ids) > (self._limit or len(ids))]
        kept = dict(zip(cut_off, self._tokenize([sequences[at] for at in cut_off]), strict=True))
        read = [kept.get(at, ids) for at, ids in enumerate(whole)]
        unknown = getattr(self._tokenizer, "unk_token_id", None)
        cut = [self._cut_bp(text) if at in kept else 0 for at, text in enumerate(sequences)]
        other = [sum(map(text.count, set(text) - set("ACGT"))) for text in sequences]
        return TextCounts(
            tokens=np.array([len(ids) for ids in read], np.int64),
            cut_bp=np.array(cut, np.int64),
            unknown_bp=np.array(other, np.int64),
            unknown_tokens=None
            if unknown is None
            else np.array([ids.count(unknown) for ids in read], np.int64),
        )

    def _cut_bp(self, text: str) -> int:
        """Letters of a text that is too long for which there is no room."""
        left = getattr(self._tokenizer, "truncation_side", "right") == "left"
        assert self._limit is not None
        if getattr(self._tokenizer, "is_fast", False):
            options = {"padding": False, "verbose": False}
            bare = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, **options
            )["offset_mapping"]
            room = self._limit - (len(self._encoded([text])[0]) - len(bare))
            return bare[len(bare) - room - 1][1] if left else len(text) - bare[room][0]
        # A tokenizer that does not say where its tokens stand: how much of the text fits.
        held, too_many = 0, len(text)
        while too_many - held > 1:
            middle = (held + too_many) // 2
            part = text[-middle:] if left else text[:middle]
            (whole,) = self._encoded([part])
            if len(whole) > self._limit:
                too_many = middle
            else:
                held = middle
        return len(text) - held

    def _tokenize(self, sequences: Sequence[str]) -> list[list[int]]:
        cut = {"truncation": True, "max_length": self._limit} if self._limit is not None else {}
        return self._encoded(sequences, **cut)

    def _encoded(self, sequences: Sequence[str], **options: Any) -> list[list[int]]:
        """Ids of each text; of no texts, which transformers does not take, none."""
        if not sequences:
            return []
        encoded = self._tokenizer(list(sequences), padding=False, verbose=False, **options)
        return [list(map(int, ids)) for ids in encoded["input_ids"]]

    def _batches(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], int, int]]:
        """Positions of one rung, longest first, with the shape they run in: tokens and rows."""
        rungs: dict[int, list[int]] = {}
        for at, length in enumerate(lengths):
            if length:
                rungs.setdefault(self._rung(length), []).append(at)
        budget, most = _BATCHES.get(self._device.type, _BATCHES_ELSEWHERE)
        for rung in sorted(rungs, reverse=True):
            count = min(max(budget // rung, 1), most)
            for first in range(0, len(rungs[rung]), count):
                yield rungs[rung][first : first + count], rung, count

    def _rung(self, length: int) -> int:
        """The length that a sequence of so many tokens is padded to; its own without a mask."""
        if not self._takes_mask:
            return length
        step = 1 << max(length.bit_length() - 1 - _RUNGS_LOG2, 0)
        rung = -(-length // step) * step
        return max(length, min(rung, self._limit or rung))

    @property
    def _device(self) -> Any:
        return next(self._model.parameters()).device

    def _pooled(self, tokens: Sequence[Sequence[int]], *, length: int, count: int) -> np.ndarray:
        """Rows of a batch; it is filled up with its first sequence to ``count`` rows."""
        import torch

        filled = [*tokens, *[tokens[0]] * (count - len(tokens))]
        lengths = torch.tensor([len(ids) for ids in filled])
        padding = self._tokenizer.pad_token_id or 0
        ids = torch.full((count, length), padding)
        for row, found in enumerate(filled):
            ids[row, : len(found)] = torch.tensor(found)
        mask = torch.arange(length)[None, :] < lengths[:, None]
        device = self._device
        inputs = {"input_ids": ids.to(device)}
        if self._takes_mask:
            inputs["attention_mask"] = mask.long().to(device)
        inner = any(layer != -1 for layer, _ in self._variants)
        with torch.inference_mode():
            output = self._model(**inputs, **({"output_hidden_states": True} if inner else {}))
            last = getattr(output, "last_hidden_state", None)
            last = output[0] if last is None else last
            parts = [
                _pool(
                    pooling,
                    (last if layer == -1 else output.hidden_states[layer]).float(),
                    mask.to(device),
                    lengths,
                )
                for layer, pooling in self._variants
            ]
        return torch.cat(parts, dim=1)[: len(tokens)].cpu().numpy()


def _chosen_pooling(asked: str | None) -> str:
    return "mean" if asked in (None, "geneb") else require_pooling(str(asked))


def _pool(name: str, hidden: Any, mask: Any, lengths: Any) -> Any:
    import torch

    if name.endswith(NORMALIZED):
        pooled = _pool(name.removesuffix(NORMALIZED), hidden, mask, lengths)
        return torch.nn.functional.normalize(pooled, dim=1)
    if name == "mean":
        return (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
    if name == "max":
        return hidden.masked_fill(~mask[:, :, None], -torch.inf).amax(1)
    offset = {"cls": lengths, "last": 1, "penultimate": 2}[name]
    index = lengths - offset
    rows = hidden[torch.arange(len(lengths)), index.clamp(min=0)]
    return rows * (index >= 0)[:, None].to(rows)


def load_torch_encoder(name: str, options: LoadOptions) -> TorchEncoder:
    """Load a folder, a registered model or a hub repository with transformers.

    Raises:
        SelectionError: for an unknown model or layer, or a permission that names no commit.
        CheckpointError: if there is code that is not allowed, or no safetensors, or weights lack.
        ModelError: if torch or transformers is not installed, or transformers cannot load it.
    """
    code = options.allow_remote_code
    allowed = parse_allowed_code(code) if code else None
    folder, snapshot = _bring(name, options, allowed)
    trusted = require_allowed(
        folder,
        name=str(folder.resolve()) if snapshot is None else snapshot.hub_id,
        revision=None if snapshot is None else snapshot.revision,
        allowed=allowed,
    )
    snapshot = snapshot or HubSnapshot.at(folder)
    files = FolderFiles(folder, deep=trusted)
    base = adapter_base(folder) or folder
    if not options.untrained:
        _require_safetensors(base)
    require_bounded_depth(base)
    digest = "" if options.untrained else files.weights
    model, tokenizer = _load(folder, options, trusted=trusted)
    settings = model.config
    layers = getattr(settings, "num_hidden_layers", None)
    with _said_in_one_message("load", folder):
        if getattr(settings, "is_encoder_decoder", False):
            model = model.get_encoder()
        limit = _limit(tokenizer, settings)
    revision = "local" if snapshot is None else snapshot.revision
    drawn = f"random:{options.seed}"
    identity = EncoderIdentity(
        model_id=PREFIX + (folder.resolve().name if snapshot is None else snapshot.hub_id),
        revision=drawn if options.untrained else revision,
        weights=drawn if options.untrained else digest,
        tokenizer=files.others(str(limit)),
        pooling=_chosen_pooling(options.pooling),
        layer=options.layer if layers is None else require_layer(options.layer, layers),
        dtype=options.dtype,
        code=f"torch/{type(model).__name__}/2",
        config=files.config,
    )
    files.require_unchanged()
    with _said_in_one_message("run", folder):
        return TorchEncoder(model=model, tokenizer=tokenizer, identity=identity, limit=limit)


def _bring(
    name: str, options: LoadOptions, allowed: AllowedCode | None
) -> tuple[Path, HubSnapshot | None]:
    """Folder with the files, and what was downloaded into it (None for a folder of the user's)."""
    folder = named_path(name)
    if folder.is_dir():
        return model_folder(folder, revision=options.revision), None
    revision = options.revision
    if looks_like_a_path(name):
        raise no_folder(name)
    if "/" not in name:
        spec = find_spec(name)
        if spec.source.hub_id is None:
            raise SelectionError(f"{name} is in no hub repository", hint=f"{PREFIX}FOLDER works")
        name, revision = spec.source.hub_id, revision or spec.source.revision
    if allowed is not None and allowed.name == name:
        revision = revision or allowed.revision
    code = allowed is not None and (allowed.name, allowed.revision) == (name, revision)
    folder = download_repository(name, revision=revision, offline=options.offline, code=code)
    return folder, HubSnapshot(name, folder.name)


def _require_safetensors(folder: Path) -> None:
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            "there are no safetensors; pickled weights are not opened by the torch adapter",
            where=folder,
            hint="save the model again with save_pretrained",
        )


def _load(folder: Path, options: LoadOptions, *, trusted: bool) -> tuple[Any, Any]:
    """Model and tokenizer by transformers, from local files only."""
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
        with _said_in_one_message("load", folder):
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
def _said_in_one_message(what: str, folder: Path) -> Iterator[None]:
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


def _limit(tokenizer: Any, config: Any) -> int | None:
    """Longest input in tokens: what the tokenizer declares, and what the position table holds."""
    positions = getattr(config, "max_position_embeddings", None)
    positions = int(positions or getattr(config, "n_positions", None) or 0)
    learned = getattr(config, "position_embedding_type", "absolute") == "absolute"
    if positions and learned and getattr(config, "model_type", "") in _SHIFTED_POSITIONS:
        positions -= (getattr(config, "pad_token_id", None) or 0) + 1
    declared = int(getattr(tokenizer, "model_max_length", None) or 0)
    known = [limit for limit in (positions, declared) if 0 < limit < _NO_LIMIT]
    return min(known) if known else None
