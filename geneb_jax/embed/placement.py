"""Where batches and parameters live: one device, or data parallel over all local ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["Placement"]


class Placement:
    """Rows of a batch are divided over the devices, parameters are whole on each.

    Args:
        devices: The devices to use; all local ones by default.
    """

    def __init__(self, devices: Sequence[jax.Device] | None = None) -> None:
        self.devices = list(devices) if devices is not None else jax.local_devices()
        self.mesh = Mesh(np.array(self.devices), ("data",))
        self.rows = NamedSharding(self.mesh, PartitionSpec("data"))
        self.whole = NamedSharding(self.mesh, PartitionSpec())

    @property
    def row_multiple(self) -> int:
        """Every batch has a multiple of this many rows."""
        return len(self.devices)

    def put_parameters(self, params: Any) -> Any:
        """Copy a pytree of parameters to every device."""
        return jax.device_put(params, self.whole)

    def put_rows(self, *arrays: np.ndarray) -> Any:
        """Copy host arrays ``[row, ...]`` to the devices, divided by rows."""
        return jax.device_put(arrays, self.rows)
