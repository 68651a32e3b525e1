"""Bring a checkpoint's files from the Hugging Face hub: only the needed ones, at one commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from geneb_jax.data.hub_answers import sane_answers
from geneb_jax.data.hub_client import asked_patiently, matches_its_name, what_the_hub_said
from geneb_jax.errors import DownloadError
from geneb_jax.models.checkpoints.file_digests import file_sha256
from geneb_jax.plain_files import is_plain_file

__all__ = ["HubSnapshot", "download_checkpoint", "download_files", "download_repository"]

_REPOSITORY = "models--"
_SHA256_DIGITS = 64
_BESIDE_WEIGHTS = (
    "adapter_config.json",
    "adapter_model.bin",
    "adapter_model.safetensors",
    "config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "*_Pooling/config.json",
    "*_Normalize/config.json",
    "0_Transformer/*",
)
_SAFETENSORS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
_TORCH = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True, slots=True)
class HubSnapshot:
    """A commit of a repository, as the hub's cache keeps it in a folder.

    Attributes:
        hub_id: ``org/name``.
        revision: The commit.
    """

    hub_id: str
    revision: str

    @classmethod
    def at(cls, folder: Path) -> HubSnapshot | None:
        """The snapshot that a folder is (``models--ORG--NAME/snapshots/COMMIT``), or links to."""
        place = folder.resolve()
        repository = place.parent.parent.name
        if place.parent.name != "snapshots" or not repository.startswith(_REPOSITORY):
            return None
        return cls(repository.removeprefix(_REPOSITORY).replace("--", "/"), place.name)


def download_files(
    hub_id: str, names: Sequence[str], *, revision: str | None, offline: bool
) -> Path:
    """Download named files of a repository into the hub's cache.

    Args:
        hub_id: ``org/name``.
        names: Paths in the repository.
        revision: Commit, branch or tag; the default branch when None.
        offline: Use what the cache holds and open no socket.

    Returns:
        The snapshot folder; its name is the commit.

    Raises:
        DownloadError: if the repository, the revision or a file cannot be had.
    """
    folder = _snapshot(hub_id, names, revision=revision, offline=offline)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DownloadError(
            f"{', '.join(missing)} of {hub_id} cannot be had",
            cause="they are not in the cache" if offline else "the repository does not have them",
            hint="run once without --offline" if offline else None,
        )
    return folder


def download_checkpoint(hub_id: str, *, revision: str | None, offline: bool) -> Path:
    """Download config, tokenizer files and weights of any repository: safetensors if it has them.

    Raises:
        DownloadError: if the repository or the revision cannot be had.
    """
    wanted = (*_BESIDE_WEIGHTS, *_SAFETENSORS)
    folder = _snapshot(hub_id, wanted, revision=revision, offline=offline)
    if not any(folder.glob("model*.safetensors")):
        wanted = (*_BESIDE_WEIGHTS, *_TORCH)
        folder = _snapshot(hub_id, wanted, revision=revision or folder.name, offline=offline)
    return folder


def download_repository(hub_id: str, *, revision: str | None, offline: bool, code: bool) -> Path:
    """Download all that transformers may need: JSON files, vocabularies, safetensors.

    Args:
        hub_id: ``org/name``.
        revision: Commit, branch or tag; the default branch when None.
        offline: Use what the cache holds and open no socket.
        code: Whether Python files come along; without the user's permission they do not.

    Raises:
        DownloadError: if the repository or the revision cannot be had.
    """
    wanted = ("*.json", "*.txt", "*.model", *_SAFETENSORS, *(("*.py",) if code else ()))
    return _snapshot(hub_id, wanted, revision=revision, offline=offline)


def _damaged(folder: Path, patterns: Sequence[str]) -> list[str]:
    """Names of the files that are not what the hub said of them: their hash is another one.

    The cache links a snapshot's files to their content, which is called by the stated hash. Where a
    system has no links nothing is known here, and the weights' own hash is all there is.
    """
    wrong = []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not is_plain_file(file) or not any(fnmatchcase(name, part) for part in patterns):
            continue
        content = file.resolve()
        large = len(content.name) == _SHA256_DIGITS
        # Large files go through the memory of digests, which the reader of weights shares.
        same = file_sha256(content) == content.name if large else matches_its_name(content)
        if not same:
            wrong.append(name)
    return wrong


def _snapshot(hub_id: str, patterns: Sequence[str], *, revision: str | None, offline: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def download(names: Sequence[str], *, again: bool = False) -> Path:
        def call() -> str:
            return snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=list(names),
                local_files_only=offline,
                force_download=again,
            )

        if offline:
            return Path(call())
        with sane_answers():
            return Path(asked_patiently(call))

    try:
        folder = download(patterns)
        damaged = _damaged(folder, patterns)
        if damaged and not offline:  # the library looks at sizes only
            download(damaged, again=True)
            damaged = _damaged(folder, damaged)
        if damaged:
            raise DownloadError(
                f"{', '.join(damaged)} of {hub_id} is not what the hub says it is",
                where=folder,
                cause="the copy in the cache is damaged"
                if offline
                else "the file arrived twice with a wrong hash: the connection alters the data",
                hint="run once without --offline" if offline else "download it another way",
            )
        return folder
    except RevisionNotFoundError as error:
        raise DownloadError(f"{hub_id} has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"there is no repository {hub_id}",
            hint="check the name; a private one needs `hf auth login`",
        ) from error
    except HFValidationError as error:
        raise DownloadError(f"{hub_id!r} is not a hub id", hint="hub ids are org/name") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if isinstance(error.__cause__, DownloadError):
            raise error.__cause__ from error
        said = what_the_hub_said(error) or "the hub cannot be reached"
        raise DownloadError(
            f"{hub_id} is not in the local cache",
            cause="downloads are switched off" if offline else said,
            hint="run once with a connection, or name a checkpoint folder",
        ) from error
    except DownloadError:
        raise
    except Exception as error:  # the library's HTTP package, and what it makes of odd answers
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DownloadError(
            f"{hub_id} cannot be downloaded ({reason:.300})",
            hint="the same command resumes the download",
        ) from error
