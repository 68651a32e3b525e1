"""What a compiled program will cost on a device that is not there: an estimate, and called one.

A kernel takes ``max(operations / peak, bytes / bandwidth) + launch``; kernels run one after
another; loops run as often as the compiler knows, or once where it does not (a tick of a solver:
then every figure is one of a tick). Of branches the dearest counts. What this leaves out makes real
programs slower, never faster: dependent steps inside a kernel (a scan of one kernel), tiles that an
autotuner would have chosen otherwise, caches. Believe ratios of two programs, not milliseconds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

from bench.compile_targets import Target
from bench.hlo_text import Array, Instruction, Module

__all__ = ["Costs", "costs_of"]

_FREE = frozenset(
    {
        *("parameter", "get-tuple-element", "tuple", "constant", "bitcast", "after-all"),
        *(
            "opt-barrier",
            "partition-id",
            "replica-id",
            "copy-done",
            "async-done",
            "all-gather-done",
        ),
        *("all-reduce-done", "collective-permute-done", "async-update", "add-dependency"),
    }
)
_COLLECTIVES = (
    *("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter"),
    *("collective-broadcast", "ragged-all-to-all"),
)
_READ_IN_PART = ("dynamic-slice", "slice", "gather")


@dataclass(slots=True)
class Costs:
    """Sums over a program; ``seconds`` is an estimate."""

    kernels: int = 0
    trips: int = 0  # bodies of loops that run
    host_syncs: int = 0  # loops of unknown length and branches: the host reads a predicate
    flops: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0
    collectives: Counter[str] = field(default_factory=Counter)
    custom_calls: Counter[str] = field(default_factory=Counter)
    seconds_by_kind: Counter[str] = field(default_factory=Counter)

    def add(self, other: Costs, times: int = 1) -> None:
        """Add another part that runs so often."""
        self.kernels += times * other.kernels
        self.trips += times * other.trips
        self.host_syncs += times * other.host_syncs
        self.flops += times * other.flops
        self.bytes += times * other.bytes
        self.seconds += times * other.seconds
        for mine, its in (
            (self.collectives, other.collectives),
            (self.custom_calls, other.custom_calls),
            (self.seconds_by_kind, other.seconds_by_kind),
        ):
            for name, value in its.items():
                mine[name] += times * value


def costs_of(module: Module, target: Target) -> Costs:
    """Walk the entry computation of a program compiled for ``target``."""
    return _Walk(module, target).computation(module.entry)


class _Walk:
    def __init__(self, module: Module, target: Target) -> None:
        self.module, self.target = module, target
        self._known: dict[str, Costs] = {}

    def computation(self, name: str) -> Costs:
        if name not in self._known:
            instructions = self.module.computations.get(name, [])
            names = {one.name: one for one in instructions}
            total = Costs()
            for one in instructions:
                total.add(self.instruction(one, names))
            self._known[name] = total
        return self._known[name]

    def instruction(self, one: Instruction, names: dict[str, Instruction]) -> Costs:
        if one.op in _FREE:
            return Costs()
        if one.op == "while":
            return self.loop(one)
        if one.op == "conditional":
            return self.branches(one)
        if one.op == "call":
            return self.computation(one.called("to_apply")[0])
        if one.op == "async-start" and not one.target:
            return self.computation(one.called("calls", "called_computation")[0])
        return self.kernel(one, names)

    def loop(self, one: Instruction) -> Costs:
        known = one.trips if one.trips is not None else self.limit(one)
        trips = 1 if known is None else known
        total = Costs(trips=trips)
        total.add(self.computation(one.called("body")[0]), trips)
        if known is None:
            total.add(self.computation(one.called("condition")[0]))
            total.add(self.sync())
        return total

    def limit(self, one: Instruction) -> int | None:
        """What a loop's counter is compared with, where that is all its condition does (TPU)."""
        inside = self.module.computations.get(one.called("condition")[0], [])
        names = {each.name: each for each in inside}
        root = next((each for each in inside if each.is_root), None)
        if root is None or root.op != "compare" or "direction=LT" not in root.attributes:
            return None
        counter, limit = (names.get(name) for name in root.operands)
        if counter is None or limit is None or counter.op != "get-tuple-element":
            return None
        return int(limit.inside) if limit.op == "constant" and limit.inside.isdigit() else None

    def branches(self, one: Instruction) -> Costs:
        names = one.called("branch_computations", "true_computation", "false_computation")
        total = Costs()
        total.add(max((self.computation(name) for name in names), key=lambda part: part.seconds))
        total.add(self.sync())
        return total

    def sync(self) -> Costs:
        return Costs(host_syncs=1, seconds=self.target.host_sync_seconds)

    def kernel(self, one: Instruction, names: dict[str, Instruction]) -> Costs:
        moved = self.bytes_moved(one, names)
        flops, seconds = self.arithmetic(one, names)
        kind = one.target or (
            "product" if flops else one.op if one.op != "fusion" else "elementwise"
        )
        taken = max(seconds, moved / self.target.bandwidth) + self.target.launch_seconds
        costs = Costs(kernels=1, flops=flops, bytes=moved, seconds=taken)
        costs.seconds_by_kind[kind] = taken
        if one.target:
            costs.custom_calls[one.target] = 1
        for name in _COLLECTIVES:
            if one.op in (name, f"{name}-start"):
                costs.collectives[name] = 1
        return costs

    def arithmetic(self, one: Instruction, names: dict[str, Instruction]) -> tuple[float, float]:
        """Operations of the products in a kernel, and their seconds at the peak of their kind."""
        if "fmha" in one.target:
            query, key = (names[operand].arrays[0].sizes for operand in one.operands[:2])
            flops = 4.0 * math.prod(query) * key[1]
            return flops, flops / self.target.attention_flops
        flops = _product_flops(one, names)
        seconds = flops / self.target.flops(_kind_of_product(one, names)) if flops else 0.0
        for name in one.called("calls"):
            inside = self.module.computations.get(name, [])
            inner_names = {each.name: each for each in inside}
            for each in inside:
                more, longer = self.arithmetic(each, inner_names)
                flops, seconds = flops + more, seconds + longer
        return flops, seconds

    def bytes_moved(self, one: Instruction, names: dict[str, Instruction]) -> int:
        """Bytes read and written; of operands of which slices are read, these alone."""
        called = one.called("calls")
        inside = self.module.computations.get(called[0], []) if called else []
        if not inside:
            if one.op in _READ_IN_PART:
                return 2 * one.bytes
            if one.op == "dynamic-update-slice":
                return 2 * names[one.operands[1]].bytes
            return one.bytes + sum(names[name].bytes for name in one.operands if name in names)
        written = _bytes_written(one, inside)
        parameters = {int(each.inside): each for each in inside if each.op == "parameter"}
        for index, name in enumerate(one.operands):
            if name in names:
                parameter = parameters.get(index)
                whole = names[name].bytes
                written += whole if parameter is None else _bytes_read(parameter, inside, whole)
        return written


def _bytes_read(parameter: Instruction, inside: list[Instruction], whole: int) -> int:
    """Of an operand of a fused kernel: all of it, or only the slices where nothing else reads."""
    parts, waiting = 0, [parameter.name]
    while waiting:
        name = waiting.pop()
        for each in inside:
            if name not in each.operands:
                continue
            if each.op in ("bitcast", "reshape"):
                waiting.append(each.name)
            elif each.op in _READ_IN_PART and each.operands[0] == name:
                parts += each.bytes
            elif not (_update_of(each) and each.operands[0] == name):
                return whole
    return min(whole, parts)


def _bytes_written(one: Instruction, inside: list[Instruction]) -> int:
    """Of a fused kernel: its result, or the part of it that an update writes in place."""
    names = {each.name: each for each in inside}
    root = next((each for each in inside if each.is_root), None)
    if root is None:
        return one.bytes
    roots = (
        [names[name] for name in root.operands if name in names] if root.op == "tuple" else [root]
    )
    total = 0
    for each in roots:
        while each.op in ("bitcast", "reshape") and each.operands and each.operands[0] in names:
            each = names[each.operands[0]]
        update = names.get(_update_of(each))
        total += each.bytes if update is None else update.bytes
    return total


def _update_of(one: Instruction) -> str:
    """What is written into an operand that is otherwise left as it is; empty of anything else."""
    if one.op == "dynamic-update-slice":
        return one.operands[1]
    return one.operands[2] if one.op == "scatter" and len(one.operands) == 3 else ""


def _product_flops(one: Instruction, names: dict[str, Instruction]) -> float:
    """A multiplication and an addition each, of a product, a convolution, or a library's call."""
    is_product = one.op == "dot" or "matmul" in one.target or "gemm" in one.target
    if is_product and one.operands and one.operands[0] in names:
        contracted = one.sizes("lhs_contracting_dim(?:ension)?s")
        left = names[one.operands[0]].arrays[0].sizes
        return 2.0 * one.arrays[0].elements * math.prod(left[axis] for axis in contracted)
    if one.op == "convolution" or "$conv" in one.target:
        kernel = names[one.operands[1]].arrays[0]
        taps = kernel.elements / _output_features(one, kernel) / _diluted(one)
        return 2.0 * one.arrays[0].elements * taps
    return 0.0


def _diluted(one: Instruction) -> int:
    """How many taps of a window meet zeros for each that does not.

    On TPU a batch of products is a convolution over the batch whose input is spread out by zeros.
    """
    sizes, spread = (
        re.search(rf"\b{name}=([\dx]+)", one.attributes) for name in ("size", "lhs_dilate")
    )
    if sizes is None or spread is None:
        return 1
    pairs = zip(sizes[1].split("x"), spread[1].split("x"), strict=True)
    return math.prod(min(int(size), int(step)) for size, step in pairs)


def _output_features(one: Instruction, kernel: Array) -> int:
    """Size of the kernel's axis of outputs, from labels such as ``b0f_0io->b0f``."""
    labels = re.search(r"dim_labels=\w+_(\w+)->", one.attributes)
    return kernel.sizes[labels[1].index("o")] if labels else 1


def _kind_of_product(one: Instruction, names: dict[str, Instruction]) -> str:
    """Dtype of the operands, or the algorithm that stands in for float32."""
    algorithm = re.search(r'algorithm[=:]"?(dot_\w+)', one.attributes)
    if algorithm:
        return algorithm[1]
    dtypes = {names[name].arrays[0].dtype for name in one.operands[:2] if name in names}
    kind = max(dtypes, key=_width, default="f32")
    precise = "HIGH" in one.attributes.upper().partition("OPERAND_PRECISION")[2][:60]
    return "tf32" if kind == "f32" and not precise else kind


def _width(dtype: str) -> int:
    """Bytes of what decides the kind of a product; narrower dtypes do not."""
    return {"f64": 8, "c128": 16, "f32": 4, "c64": 8}.get(dtype, 2 if dtype == "bf16" else 1)
