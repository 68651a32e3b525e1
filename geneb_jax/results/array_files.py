"""Arrays on disk: ``.npz`` that NumPy reads, same bytes for same arrays, nothing pickled."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np

__all__ = ["LARGEST_BYTES", "array_bytes", "arrays_of"]

#: Largest archive that is believed, unpacked, in bytes.
LARGEST_BYTES = 2**30


def array_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack arrays of numbers; members are deflated and carry a fixed date."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def arrays_of(content: bytes, shapes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Unpack what :func:`array_bytes` packed.

    Args:
        content: The archive.
        shapes: Name -> number of dimensions of each array it must hold, and no other.

    Raises:
        ValueError: with the reason, if it is not such an archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST_BYTES:
                raise ValueError(f"it unpacks to more than {LARGEST_BYTES} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            if set(archive.files) != set(shapes):
                raise ValueError("missing or unknown arrays")
            arrays = {name: archive[name] for name in shapes}
    except (zipfile.BadZipFile, EOFError, OSError, KeyError, MemoryError) as error:
        raise ValueError(f"not an archive of arrays ({error})") from error
    for name, array in arrays.items():
        if array.ndim != shapes[name] or array.dtype.kind not in "biu":
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    return arrays
