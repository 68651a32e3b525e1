"""Which checkpoint tensor becomes which parameter: written down as data, checked to the last name.

A family's key map lists every parameter with the name of its tensor, and every tensor that is left
out with the reason. Names may hold placeholders such as ``{layer}``: each one adds a leading axis
to the parameter, over the values that :attr:`KeyMap.ranges` gives it.
"""

from __future__ import annotations

import difflib
import fnmatch
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter

import numpy as np

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.heads import is_head

__all__ = [
    "KEEP",
    "TRANSPOSE",
    "Drop",
    "KeyMap",
    "Match",
    "Transform",
    "Weight",
    "dense_weights",
    "family_prefix",
    "match_tensors",
    "norm_weights",
    "shared_prefixes",
]

_SHOWN = 5
_LONGEST_SHOWN = 200  # letters of a name
_COMPARED = 2000  # names among which the closest one is looked for
_MOST_WRAPPERS = 8
#: Names from TensorFlow's days, which transformers 5 still writes for modules called LayerNorm.
_OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


@dataclass(frozen=True, slots=True)
class Transform:
    """How a checkpoint tensor becomes (a layer of) a parameter: part, then squeeze, then transpose.

    Attributes:
        rows: (start, stop, of): the part of axis 0 that is taken, and that axis's whole length, for
            tensors that fuse several matrices.
        columns: The same of axis 1.
        squeeze: Axes of length one in the checkpoint that the parameter does not have.
        transpose: Whether the last two axes are swapped; torch stores linear maps as [out, in].
    """

    rows: tuple[int, int, int] | None = None
    columns: tuple[int, int, int] | None = None
    squeeze: tuple[int, ...] = ()
    transpose: bool = False

    def stored_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The checkpoint tensor's shape, given the parameter's (without stacked axes)."""
        if self.transpose:
            shape = (*shape[:-2], shape[-1], shape[-2])
        stored = list(shape)
        for axis in sorted(self.squeeze):
            stored.insert(axis, 1)
        if self.rows is not None:
            stored[0] = self.rows[2]
        if self.columns is not None:
            stored[1] = self.columns[2]
        return tuple(stored)

    def apply(self, tensor: np.ndarray) -> np.ndarray:
        """The parameter's values, as a view."""
        if self.rows is not None:
            tensor = tensor[self.rows[0] : self.rows[1]]
        if self.columns is not None:
            tensor = tensor[:, self.columns[0] : self.columns[1]]
        if self.squeeze:
            tensor = np.squeeze(tensor, self.squeeze)
        return np.swapaxes(tensor, -1, -2) if self.transpose else tensor


KEEP = Transform()
TRANSPOSE = Transform(transpose=True)


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter and the tensor it is read from.

    Attributes:
        parameter: Dotted path in the module.
        tensor: Name in the checkpoint, with placeholders for stacked axes.
        transform: How the tensor becomes the parameter.
        copies: Other names under which some files repeat the tensor (tied weights). Any one of the
            names will do; where several are present they must hold the same values.
    """

    parameter: str
    tensor: str
    transform: Transform = KEEP
    copies: tuple[str, ...] = ()


def dense_weights(
    parameter: str, tensor: str, *, bias: bool, transform: Transform = TRANSPOSE
) -> list[Weight]:
    """Kernel and bias of a :class:`~geneb_jax.models.layers.dense.Dense`.

    Args:
        parameter: Dotted path of the module.
        tensor: Name in the checkpoint, without ``.weight``.
        bias: Whether there is one.
        transform: Of the kernel; the bias follows its part of the outputs.
    """
    weights = [Weight(f"{parameter}.kernel", f"{tensor}.weight", transform)]
    if bias:
        part = Transform(rows=transform.rows if transform.transpose else transform.columns)
        weights.append(Weight(f"{parameter}.bias", f"{tensor}.bias", part))
    return weights


def norm_weights(parameter: str, tensor: str, *, bias: bool) -> list[Weight]:
    """Scale and bias of a norm, named as :func:`dense_weights` names."""
    weights = [Weight(f"{parameter}.scale", f"{tensor}.weight")]
    if bias:
        weights.append(Weight(f"{parameter}.bias", f"{tensor}.bias"))
    return weights


@dataclass(frozen=True, slots=True)
class Drop:
    """Tensors that are knowingly left out: a shell-style pattern and the reason."""

    pattern: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeyMap:
    """All of a checkpoint, in words.

    Attributes:
        weights: Every parameter.
        drops: What else may be there, besides the heads that all families know
            (:mod:`geneb_jax.models.checkpoints.heads`); patterns match with or without the prefix.
        ranges: Placeholder to its values, in the order of the stacked axis.
        prefixes: Alternatives in front of every name; the one that fits most names is taken. What
            all names of a checkpoint share (``module.``, ``_orig_mod.``) is taken off besides.
    """

    weights: tuple[Weight, ...]
    drops: tuple[Drop, ...] = ()
    ranges: Mapping[str, Sequence[int]] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ("",)

    def stacked_axes(self, weight: Weight) -> tuple[str, ...]:
        """The placeholders of a weight, in the order of its leading axes."""
        names = [name for _, name, _, _ in Formatter().parse(weight.tensor) if name]
        return tuple(dict.fromkeys(names))

    def expand(self, weight: Weight, template: str) -> list[tuple[tuple[int, ...], str]]:
        """Every (index along the stacked axes, tensor name) of a weight, without the prefix."""
        axes = self.stacked_axes(weight)
        choices = [list(enumerate(self.ranges[axis])) for axis in axes]
        expanded = []
        for combination in itertools.product(*choices):
            values = {axis: value for axis, (_, value) in zip(axes, combination, strict=True)}
            expanded.append((tuple(index for index, _ in combination), template.format(**values)))
        return expanded


@dataclass(frozen=True, slots=True)
class Match:
    """One tensor's place: full names of the tensor and its copies, index along stacked axes."""

    weight: Weight
    index: tuple[int, ...]
    names: tuple[str, ...]


def match_tensors(names: Iterable[str], key_map: KeyMap, *, where: object) -> list[Match]:
    """Give every tensor of a checkpoint its place.

    Args:
        names: All tensor names of the checkpoint.
        key_map: The family's map.
        where: The checkpoint, for messages.

    Raises:
        CheckpointError: if a parameter has no tensor, or a tensor neither a parameter nor a reason
            to be left out; all such names at once, each with the closest one that would do.
    """
    present = set(names)
    wrapper, own = _prefix(present, key_map)
    prefix = wrapper + own
    matches: list[Match] = []
    lacking: dict[str, None] = {}  # in order, and quick to look in
    used: set[str] = set()
    for weight in key_map.weights:
        templates = [key_map.expand(weight, name) for name in _alternatives(weight)]
        for alternatives in zip(*templates, strict=True):
            full = [prefix + name for _, name in alternatives]
            found = tuple(name for name in full if name in present)
            used.update(found)
            if found:
                matches.append(Match(weight, alternatives[0][0], found))
            else:  # two parameters may share a fused tensor
                lacking[full[0]] = None
    missing = list(lacking)
    extra = sorted(
        name for name in present - used if not _dropped(name, wrapper, own, key_map.drops)
    )
    if missing or extra:
        raise CheckpointError(
            _complaint(missing, extra),
            where=where,
            hint="every tensor must be used or be on the family's list of tensors to leave out; "
            "a model of another architecture needs its own family, or the torch adapter",
        )
    return matches


def _alternatives(weight: Weight) -> list[str]:
    """Every name a weight's tensor may go by."""
    names = [weight.tensor, *weight.copies]
    return names + [
        name.removesuffix(new) + old
        for name in names
        for new, old in _OLD_NAMES.items()
        if name.endswith(new)
    ]


def shared_prefixes(names: Collection[str]) -> list[str]:
    """What stands in front of all names, part by part: ``""``, ``module.``, ``module.net.``, ...

    Training code wraps models (``module.`` of data parallelism, ``_orig_mod.`` of compilation,
    ``model.`` of Lightning), and wrappers stack.
    """
    first, last = min(names, default=""), max(names, default="")
    prefixes = [""]
    for part in first.split(".")[:-1][:_MOST_WRAPPERS]:
        longer = f"{prefixes[-1]}{part}."
        if not last.startswith(longer):
            break
        prefixes.append(longer)
    return prefixes


def _prefix(present: set[str], key_map: KeyMap) -> tuple[str, str]:
    """The wrapper in front of all names, and the family's own prefix behind it, that fit best."""
    expected = {
        name
        for weight in key_map.weights
        for template in _alternatives(weight)
        for _, name in key_map.expand(weight, template)
    }
    candidates = [
        (wrapper, own) for wrapper in shared_prefixes(present) for own in key_map.prefixes
    ]

    def hits(candidate: tuple[str, str]) -> int:
        prefix = "".join(candidate)
        short = (name.removeprefix(prefix) for name in present if name.startswith(prefix))
        return sum(name in expected for name in short)

    return max(candidates, key=hits)


def family_prefix(
    names: Collection[str], expected: Collection[str], prefixes: Sequence[str]
) -> str:
    """The prefix behind which most names begin an expected one; the empty one where none does.

    Args:
        names: Names of modules, with a dot at their end.
        expected: Names of tensors without any prefix.
        prefixes: The alternatives.
    """
    modules = {name[: at + 1] for name in expected for at, sign in enumerate(name) if sign == "."}

    def hits(prefix: str) -> int:
        return sum(
            name.startswith(prefix) and name.removeprefix(prefix) in modules for name in names
        )

    return max(dict.fromkeys(("", *prefixes)), key=hits)


def _dropped(name: str, wrapper: str, own: str, drops: tuple[Drop, ...]) -> bool:
    bare = name.removeprefix(wrapper)
    short = bare.removeprefix(own)
    return any(is_head(form) for form in (bare, short)) or any(
        fnmatch.fnmatchcase(form, drop.pattern)
        for drop in drops
        for form in dict.fromkeys((name, bare, short))
    )


def _complaint(missing: list[str], extra: list[str]) -> str:
    parts = []
    if missing:
        listed = [_with_nearest(name, extra, "the checkpoint has") for name in missing[:_SHOWN]]
        parts.append(f"{_count(missing)} missing: {', '.join(listed)}{_more(missing)}")
    if extra:
        listed = [_with_nearest(name, missing, "expected") for name in extra[:_SHOWN]]
        parts.append(f"{_count(extra)} unexpected: {', '.join(listed)}{_more(extra)}")
    return "; ".join(parts)


def _count(names: list[str]) -> str:
    return "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"


def _with_nearest(name: str, candidates: list[str], verb: str) -> str:
    short = [other for other in candidates[:_COMPARED] if len(other) <= _LONGEST_SHOWN]
    if len(name) > _LONGEST_SHOWN:
        return f"{name[:_LONGEST_SHOWN]}..."
    near = difflib.get_close_matches(name, short, n=1, cutoff=0.8)
    return f"{name} ({verb} {near[0]})" if near else name


def _more(names: list[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
