"""What a store holds, as the entries of its manifest say: read once, then only what is new."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from geneb_jax.store.entries import Entry, IndexFile, Quarantined, Shard, decode_entry, encode_entry
from geneb_jax.store.folder import Folder
from geneb_jax.store.keys import key_hash
from geneb_jax.store.manifest import DamagedManifestError, Manifest, UnknownManifestVersionError

__all__ = [
    "ENTRIES",
    "Contents",
    "DamagedEntryError",
    "add_entry",
    "read_contents",
]

#: Folder of the entries.
ENTRIES = "manifest.d"
_ENTRY_NAME = re.compile(rf"{ENTRIES}/([0-9]{{9}}|all-[0-9a-f]{{16}}|gone-[0-9a-f]{{16}})")
#: Looks at a folder that changes all the time, after which what was seen last is taken.
_MOST_LOOKS = 20


class DamagedEntryError(DamagedManifestError):
    """An entry that is cut or changed.

    Attributes:
        name: The file, below the store's folder.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"{name}: {reason}")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store holds.

    Attributes:
        manifest: Whose embeddings these are.
        entries: The entries of the manifest by name.
        shards: The shards that count, by slot.
        quarantined: Shards that failed their checks, by slot.
        merged: Slots whose rows stand in others now.
        indexes: Indexes on the disk, by name.
    """

    manifest: Manifest
    entries: Mapping[str, Entry] = field(default_factory=dict)
    shards: Mapping[int, Shard] = field(default_factory=dict)
    quarantined: Mapping[int, Quarantined] = field(default_factory=dict)
    merged: frozenset[int] = frozenset()
    indexes: Mapping[str, IndexFile] = field(default_factory=dict)

    @property
    def row_count(self) -> int:
        """Number of committed rows; what stands in two shards counts twice."""
        return sum(shard.rows for shard in self.shards.values())

    @property
    def last_slot(self) -> int:
        """The highest slot that was ever committed, -1 for none."""
        parts = (self.shards, self.quarantined, self.merged)
        return max((max(part) for part in parts if part), default=-1)

    def knows(self, slot: int) -> bool:
        """Whether a slot was ever committed."""
        return slot in self.shards or slot in self.quarantined or slot in self.merged

    def with_entries(self, entries: Mapping[str, Entry]) -> Contents:
        """What these entries say together.

        Raises:
            DamagedManifestError: if they contradict each other.
        """
        added = entries.keys() - self.entries.keys()
        plain = [entries[name] for name in sorted(added)]
        if self.entries.keys() <= entries.keys() and not any(
            one.quarantined or one.merged or one.indexes for one in plain
        ):
            more = dict(self.shards)
            for one in plain:
                _add_shards(more, one, self.manifest.rows_per_shard)
            for slot in (*self.quarantined, *self.merged):
                more.pop(slot, None)
            return Contents(
                self.manifest, entries, more, self.quarantined, self.merged, self.indexes
            )
        shards: dict[int, Shard] = {}
        quarantined: dict[int, Quarantined] = {}
        merged: set[int] = set()
        indexes: dict[str, IndexFile] = {}
        for name in sorted(entries):
            one = entries[name]
            _add_shards(shards, one, self.manifest.rows_per_shard)
            quarantined.update({gone.slot: gone for gone in one.quarantined})
            merged.update(one.merged)
            indexes.update({index.name: index for index in one.indexes})
        for slot in (*quarantined, *merged):
            shards.pop(slot, None)
        return Contents(
            self.manifest, entries, dict(sorted(shards.items())), quarantined, frozenset(merged),
            indexes,
        )  # fmt: skip


def _add_shards(shards: dict[int, Shard], entry: Entry, rows_per_shard: int) -> None:
    for shard in entry.shards:
        if shards.setdefault(shard.slot, shard) != shard:
            raise DamagedManifestError(f"two entries disagree on shard {shard.slot}")
        if shard.rows > rows_per_shard:
            raise DamagedManifestError(f"shard {shard.slot} holds more rows than fit")


def read_contents(folder: Folder, before: Contents) -> Contents:
    """What a store holds now.

    Args:
        folder: The store's folder.
        before: What it held when somebody last looked; only what is new is read.

    Raises:
        DamagedEntryError: if an entry is damaged.
        DamagedManifestError: if entries contradict each other.
    """
    key = key_hash(before.manifest.identity, before.manifest.width)
    known = dict(before.entries)
    entries: dict[str, Entry] = {}
    for _ in range(_MOST_LOOKS):
        names = _entry_names(folder)
        entries, whole = {}, True
        for name in names:
            entry = known.get(name) or _read_entry(folder, name, key)
            if entry is None:
                # One entry has taken the place of others between the look and the reading.
                whole = False
            else:
                entries[name] = known[name] = entry
        # What is deleted while a folder is listed may be missed, and with it what replaced it.
        if whole and (
            folder.lists_at_once
            or names == list(filter(_ENTRY_NAME.fullmatch, folder.names(ENTRIES)))
        ):
            break
    if entries.keys() == before.entries.keys():
        return before
    return before.with_entries(entries)


def _entry_names(folder: Folder) -> list[str]:
    return [name for name in folder.names(ENTRIES) if _ENTRY_NAME.fullmatch(name)]


def _read_entry(folder: Folder, name: str, key: str) -> Entry | None:
    content = folder.read(name)
    if content is None:
        return None
    try:
        return decode_entry(content, key)
    except UnknownManifestVersionError as error:
        raise DamagedEntryError(name, str(error)) from error
    except DamagedManifestError as error:
        raise DamagedEntryError(name, str(error)) from error


def add_entry(folder: Folder, contents: Contents, name: str, entry: Entry) -> Contents:
    """Write an entry durably; what it says holds from then on.

    Args:
        folder: The store's folder.
        contents: What the store held before.
        name: Of the file below :data:`ENTRIES`.
        entry: What is to be added.
    """
    manifest = contents.manifest
    path = f"{ENTRIES}/{name}"
    folder.write(path, encode_entry(entry, key_hash(manifest.identity, manifest.width)))
    return contents.with_entries({**contents.entries, path: entry})
