"""All problems over one feature matrix, in the coordinates of the features.

A problem is a column with its own row shares and penalty; C, subset and class are folded into the
columns of one product by hand, since a mapped product is several times slower. X is read once a
tick, in the dtype it is stored in, in row blocks that stay in cache.
"""

from __future__ import annotations

from jaxtyping import Array, Float, Int, Shaped

from geneb_jax_kernels.logistic_loss import loss_and_gradient
from geneb_jax_probes.lbfgs.loop import Stop, run_machines
from geneb_jax_probes.lbfgs.machines import Evaluation, Rules
from geneb_jax_probes.matrix.arithmetic import Arithmetic
from geneb_jax_probes.matrix.end_points import EndPoints, end_points
from geneb_jax_probes.matrix.preconditioners import Preconditioner
from geneb_jax_probes.programs import program

__all__ = ["minimise_features"]


@program("compute", "block_rows", "at_once", "rules", "arithmetic")
def minimise_features(
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    shares: Float[Array, "row _"],
    penalty: Float[Array, " problem"],
    start: Float[Array, "problem logit dim_and_one"],
    preconditioner: Preconditioner | None,
    block_count: Shaped[Array, ""] | None,
    stop: Stop,
    *,
    compute: str,
    block_rows: int,
    at_once: int,
    rules: Rules,
    arithmetic: Arithmetic,
) -> EndPoints:
    """Solve all problems over one X.

    Args:
        X: Features; rows beyond ``block_count`` blocks are padding.
        codes: Class of each row.
        shares: Row weights, each column summing to 1; one column serves all problems.
        penalty: ``1 / (C n)`` of each problem, in the dtype that the state is kept in.
        start: Where to begin, the intercept last.
        preconditioner: Its factors divide the problems into equal groups; None for none.
        block_count: Blocks of ``block_rows`` rows that hold data; None where all are read.
        stop: Limits.
        compute: Dtype of the products with X.
        block_rows: Rows of one block.
        at_once: Blocks of one product.
        rules: Of the machines.
        arithmetic: How sums over X are rounded.
    """
    problems, logits, width = start.shape[0], start.shape[1], X.shape[1]

    def evaluate(points: Float[Array, "problem p"]) -> Evaluation:
        theta = points.reshape(problems, logits, width + 1).astype(compute)
        loss, slope, balance = loss_and_gradient(
            X,
            codes,
            shares,
            theta[..., :-1],
            theta[..., -1],
            block_count,
            block_rows=block_rows,
            blocks_at_once=at_once,
            sums=points.dtype.name,
            terms=arithmetic.terms,
        )
        return arithmetic.evaluation(points, loss, slope, balance, penalty, preconditioner)

    machines = run_machines(
        evaluate,
        start.reshape(problems, -1),
        with_dual=preconditioner is not None,
        stop=stop,
        rules=rules,
    )
    return end_points(machines, (problems, logits))
