"""Long filters given by their modes: ``h[n] = Re(sum of residue * pole^n)``, for every channel.

The exponentials of all (channel, mode, position) would be the largest array of a network. Positions
are written as ``n = block * a + b`` instead, ``pole^n = (pole^block)^a pole^b``, so that few
exponentials are taken, about twice the square root of the length of them, and a product of two
small matrices a channel does the rest.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["modal_filter", "modal_filter_reference"]


@partial(jax.jit, static_argnames="length")
def modal_filter(
    poles: Float[Array, "channel mode 2"], residues: Float[Array, "channel mode 2"], *, length: int
) -> Float[Array, "length channel"]:
    """Evaluate the filters in float32.

    Args:
        poles: Real and imaginary parts.
        residues: Real and imaginary parts.
        length: Positions, from 0.
    """
    block = max(1, round(length**0.5))
    count = -(-length // block)
    modulus, angle = _polar(poles)
    weights, phase = _polar(residues)
    starts = (jnp.arange(count) * block).astype(jnp.float32)[None, None, :]
    offsets = jnp.arange(block).astype(jnp.float32)[None, None, :]
    # [channel, mode, block]: residue * pole^(block a), and [channel, mode, offset]: pole^b.
    growth = jnp.exp(modulus[:, :, None] * starts + weights[:, :, None])
    turn = angle[:, :, None] * starts + phase[:, :, None]
    small_growth = jnp.exp(modulus[:, :, None] * offsets)
    small_turn = angle[:, :, None] * offsets
    # Re(u v) = Re u Re v - Im u Im v: one real product over both parts of all modes.
    left = jnp.concatenate([growth * jnp.cos(turn), -growth * jnp.sin(turn)], axis=1)
    right = jnp.concatenate(
        [small_growth * jnp.cos(small_turn), small_growth * jnp.sin(small_turn)], axis=1
    )
    values = jnp.einsum("cma,cmb->abc", left, right, precision="highest")
    return values.reshape(count * block, -1)[:length]


def modal_filter_reference(
    poles: Float[Array, "channel mode 2"], residues: Float[Array, "channel mode 2"], *, length: int
) -> Float[Array, "length channel"]:
    """The formula as it is written, with every exponential taken: the plain form."""
    pole = jax.lax.complex(poles[..., 0], poles[..., 1])
    residue = jax.lax.complex(residues[..., 0], residues[..., 1])
    positions = jnp.arange(length).astype(pole.dtype)[:, None, None]
    modes = residue[None] * jnp.exp(jnp.log(pole)[None] * positions)
    return jnp.sum(modes.real, axis=-1)


def _polar(parts: Float[Array, "channel mode 2"]) -> tuple[Array, Array]:
    """Logarithm of the modulus (at zero that of a tiny number: no 0 * inf), and the angle."""
    real, imaginary = parts[..., 0].astype(jnp.float32), parts[..., 1].astype(jnp.float32)
    # Near the unit circle the decay rate is what a rounded modulus would lose.
    excess = (real - 1) * (real + 1) + jnp.square(imaginary)
    far = jnp.log(jnp.maximum(jnp.hypot(real, imaginary), 1e-37))
    near = 0.5 * jnp.log1p(jnp.clip(excess, -0.5, 0.5))
    return jnp.where(jnp.abs(excess) < 0.5, near, far), jnp.arctan2(imaginary, real)
