"""Arrays on disk: ``.npz`` that NumPy reads, same bytes for same arrays, nothing pickled."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np

__all__ = ["LARGEST_BYTES", "array_bytes", "arrays_of"]

#: Largest archive that is believed, unpacked, in bytes.
LARGEST_BYTES = 2**30
_KINDS = "biu"  # booleans, signed and unsigned integers


def array_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack arrays of integers; members are deflated and carry a fixed date.

    Raises:
        ValueError: if an array is of anything else: NumPy would pickle objects.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise ValueError(f"{name} is {array.dtype}, not integers or booleans")
    buffer = io.BytesIO()
    # allow_pickle=False is not said: older NumPy takes it for an array of that name.
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
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
    except Exception as error:  # what zip, deflate and headers of damaged bytes raise has no end
        raise ValueError(f"not an archive of arrays ({error})") from error
    for name, array in arrays.items():
        if array.ndim != shapes[name] or array.dtype.kind not in _KINDS:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    return arrays
