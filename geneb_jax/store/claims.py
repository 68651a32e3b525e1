"""Who is computing which rows at the moment: claims that several processes divide their work by.

A claim is a small file ``claims/work/NAME`` that is created before a shard's rows are computed and
deleted once they are committed. It holds the digests of those rows, who computes them, and a beat
that its holder raises every few seconds. Claims say nothing about what is stored: a claim that is
lost, or taken twice, costs time and never a row, since a commit leaves stored rows as they are.

A claim is given up by others

- at once, if its holder ran on this machine and its process is gone;
- otherwise when its beat stands still for a lease, by the clock of the one who waits, so that the
  clocks of two machines are never compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from geneb_jax.errors import StoreError
from geneb_jax.store.digests import DIGEST_BYTES, DigestIndex
from geneb_jax.store.folder import ChangedMeanwhileError, Folder
from geneb_jax.strict_json import parse_json

__all__ = [
    "CLAIMS_FOLDER",
    "LEASE_SECONDS",
    "Claim",
    "Claims",
    "Holder",
    "living_claims",
]

CLAIMS_FOLDER = "claims/work"
#: A holder on another machine is dead when its beat stood still for this long.
LEASE_SECONDS = 60.0
#: Beats in a lease: some may be late on a machine that is busy.
_BEATS_IN_A_LEASE = 6
_NAME_DIGITS = 32


def _machine() -> str:
    """This boot of this machine, and the name space that process numbers count in."""
    parts = [socket.gethostname()]
    for file in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(file)
        try:
            parts.append(str(path.stat().st_ino) if "/ns/" in file else path.read_text().strip())
        except OSError:
            continue
    return "/".join(parts)


def _started(pid: int) -> int | None:
    """When a process of this machine started, in clock ticks since boot; 0 where nobody says.

    None if there is no such process, or only what is left of it until its parent looks.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except FileNotFoundError:
        if Path("/proc/1/stat").exists():  # else those of other users are hidden
            return None
    except OSError:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return 0


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, named so that no other one on any machine is meant."""

    machine: str
    pid: int
    started: int
    token: str

    @classmethod
    def here(cls) -> Holder:
        """This process; each call another holder."""
        pid = os.getpid()
        return cls(_machine(), pid, _started(pid) or 0, secrets.token_hex(8))

    def is_gone(self) -> bool:
        """Whether the process certainly lives no more; False where this machine cannot tell."""
        if self.machine != _machine():
            return False
        started = _started(self.pid)
        return started is None or (started != self.started and 0 not in (started, self.started))


@dataclass(frozen=True, slots=True, eq=False)
class _Content:
    holder: Holder
    beat: int
    digests: np.ndarray

    def encode(self) -> bytes:
        head = {
            "machine": self.holder.machine,
            "pid": self.holder.pid,
            "started": self.holder.started,
            "token": self.holder.token,
            "beat": self.beat,
        }
        return json.dumps(head).encode() + b"\n" + self.digests.tobytes()

    @classmethod
    def decode(cls, content: bytes) -> _Content | None:
        """What a claim says; None where the bytes are not a whole one."""
        head, _, digests = content.partition(b"\n")
        try:
            fields = parse_json(head)
            numbers = [fields[name] for name in ("beat", "pid", "started")]
            texts = [fields[name] for name in ("machine", "token")]
        except (ValueError, TypeError, LookupError):
            return None
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            return None
        if len(fields) != len(numbers + texts) or not all(type(text) is str for text in texts):
            return None
        beat = fields.pop("beat")
        holder = Holder(**fields)
        if len(digests) % DIGEST_BYTES:
            return None
        rows = np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)
        return cls(holder, beat, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Rows that this process may compute: ``digests`` uint8 ``[n, 16]``, under a name."""

    name: str
    digests: np.ndarray


class Claims:
    """The claims of one store, as one process sees and takes them.

    While it is entered as a context, a thread keeps its own claims alive; leaving releases them.

    Args:
        folder: The store's folder.
        lease_seconds: How long a silent holder on another machine keeps a claim.
    """

    def __init__(self, folder: Folder, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._folder = folder
        self._holder = Holder.here()
        self._lease_seconds = lease_seconds
        self._own: dict[str, _Content] = {}
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._guard = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Claims:
        self._thread = threading.Thread(target=self._keep_alive, name="claims", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.release(list(self._own))

    def take(self, digests: np.ndarray) -> Claim | None:
        """Claim rows, but for those that a living process has claimed already.

        Args:
            digests: uint8 ``[n, 16]``, distinct.

        Returns:
            The rows that are ours now, in their order; None if there are none.
        """
        name = hashlib.sha256(digests.tobytes()).hexdigest()[:_NAME_DIGITS]
        path = f"{CLAIMS_FOLDER}/{name}"
        with self._guard, self._folder.claiming():
            free = _without(digests, self._others().values())
            if not len(free) or self._folder.read(path) is not None:
                return None
            content = _Content(self._holder, 0, free)
            try:
                self._folder.replace(path, content.encode())
            except ChangedMeanwhileError:
                return None
            self._own[name] = content
            # A bucket has no lock: another claim of some of these rows may have come in between.
            # Whoever sees that leaves them; if both do, they are the next ones to be taken.
            free = _without(free, self._others().values())
        if len(free):
            return Claim(name, free)
        self.release([name])
        return None

    def release(self, names: Iterable[str]) -> None:
        """Give claims back; those that others took over meanwhile are left to them."""
        with self._guard, self._folder.claiming():
            for name in names:
                if self._own.pop(name, None) is not None and self._is_ours(name):
                    self._folder.delete_unchanged(f"{CLAIMS_FOLDER}/{name}")

    def held_by_others(self) -> np.ndarray:
        """Digests that living processes have claimed, uint8 ``[n, 16]``."""
        with self._guard, self._folder.claiming():
            parts = list(self._others().values())
        return np.concatenate(parts) if parts else np.zeros((0, DIGEST_BYTES), np.uint8)

    def _is_ours(self, name: str) -> bool:
        content = _Content.decode(self._folder.read(f"{CLAIMS_FOLDER}/{name}") or b"")
        return content is not None and content.holder == self._holder

    def _others(self) -> dict[str, np.ndarray]:
        """Digests of the claims of living others by name; what the dead left is deleted."""
        living: dict[str, np.ndarray] = {}
        now = time.monotonic()
        seen: dict[str, tuple[bytes, float]] = {}
        for path in self._folder.names(CLAIMS_FOLDER):
            name = path.rpartition("/")[2]
            if name in self._own or "." in name:
                continue
            raw = self._folder.read(path)
            if raw is None:
                continue
            before, since = self._seen.get(name, (b"", now))
            seen[name] = (raw, since if raw == before else now)
            content = _Content.decode(raw)
            silent = now - seen[name][1] >= self._lease_seconds
            if content is None or content.holder.is_gone() or silent:
                self._folder.delete_unchanged(path)
                continue
            living[name] = content.digests
        self._seen = seen
        return living

    def _keep_alive(self) -> None:
        """Raise the beat of each claim of ours, until the context is left."""
        while not self._stop.wait(self._lease_seconds / _BEATS_IN_A_LEASE):
            with self._guard:
                for name, content in list(self._own.items()):
                    beaten = _Content(content.holder, content.beat + 1, content.digests)
                    try:
                        with self._folder.claiming():
                            if self._is_ours(name):
                                path = f"{CLAIMS_FOLDER}/{name}"
                                self._folder.replace(path, beaten.encode())
                                self._own[name] = beaten
                    except (ChangedMeanwhileError, StoreError):
                        continue  # A beat that is missed costs work twice at worst, never a row.


def living_claims(folder: Folder) -> set[str]:
    """Names of the claim files whose holders may be alive."""
    living = set()
    for path in folder.names(CLAIMS_FOLDER):
        content = _Content.decode(folder.read(path) or b"")
        if content is not None and not content.holder.is_gone():
            living.add(path)
    return living


def _without(digests: np.ndarray, claimed: Iterable[np.ndarray]) -> np.ndarray:
    """The digests that are in none of the claims, in their order."""
    parts = list(claimed)
    if not parts:
        return digests
    return digests[DigestIndex(np.concatenate(parts)).positions(digests) < 0]
