"""Download of timm's weights of a vision transformer: their repository, their license, and the file in the cache.

A file in the cache is used without a request to the hub, so that all runs of a sweep read the same file.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import timm
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
from timm.models import get_pretrained_cfg

from usaggr.config.model import M2DinoConfig
from usaggr.errors import ConfigError, get_first_line
from usaggr.io.checksums import hash_file

_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names that the file of weights can have; the first that exists is used."""
_LICENSES = {
    "dinov3-license": "the DINOv3 License, which is Meta's own and is accepted on that page",
    "cc-by-nc-4.0": "CC BY-NC 4.0, not for commercial use",
}
"""Licenses that require something from the user."""


@dataclass(frozen=True)
class Source:
    """Place on the Hugging Face hub that has timm's weights of an encoder."""

    repository: str
    """Id of the repository."""
    revision: str | None
    """Git revision; None: the newest."""
    files: tuple[str, ...]
    """Names that the file can have, the best first."""
    license: str

    @property
    def page(self) -> str:
        """Address of the repository's page, where a user can download the file."""
        return f"https://huggingface.co/{self.repository}"


def find_source(model: M2DinoConfig) -> Source | None:
    """Return the source of the weights that belong to the encoder's name; None if timm has no weights for it."""
    settings = get_pretrained_cfg(model.encoder)
    if settings is None or not settings.hf_hub_id:
        return None
    repository, _, revision = settings.hf_hub_id.partition("@")
    files = (settings.hf_hub_filename,) if settings.hf_hub_filename else _FILES
    return Source(repository, revision or None, files, settings.license or "not specified")


def download_weights(model: M2DinoConfig) -> Path:
    """Return the file with timm's weights of the encoder: from the cache, else downloaded.

    Raises:
        ConfigError: timm has no weights for the encoder, or the download failed; the message names file and page.
    """
    source = find_source(model)
    if source is None:
        architecture = model.encoder.partition(".")[0]
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        raise ConfigError(
            f"model.weights=timm: timm has no weights for {model.encoder}"
            + (f"; it has weights for {', '.join(tagged)}" if tagged else "; give a local file, or null")
        )
    try:
        return _find_cached(source) or _download(source)
    except Exception as error:  # the hub's client raises errors of several libraries
        license_text = _LICENSES.get(source.license, source.license)
        raise ConfigError(
            f"model.weights=timm: the weights of {model.encoder} are not in the cache and could not be downloaded "
            f"({_get_reason(error)}); download {source.files[0]} of {source.repository} from {source.page} "
            f"(license: {license_text}), put it where the runs can read it, and set model.weights=FILE"
        ) from error


def identify_weights(model: M2DinoConfig) -> str:
    """Return repository, file and SHA-256 of timm's weights of the encoder; they are downloaded if needed."""
    source, file = find_source(model), download_weights(model)
    assert source is not None
    digest = file.resolve().name  # the hub's cache names large files by their SHA-256
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        digest = hash_file(file)
    return f"{source.repository} {file.name} sha256:{digest}"


def silence_hub() -> None:
    """Stop the hub's client from writing to the terminal: progress bars, and a warning for each retry."""
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _find_cached(source: Source) -> Path | None:
    """Return the file in the cache, without a request to the hub; None if there is none."""
    for name in source.files:
        try:
            return Path(hf_hub_download(source.repository, name, revision=source.revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    return None


def _download(source: Source) -> Path:
    """Download the first of the source's files that exists there."""
    for name in source.files[:-1]:
        try:
            return Path(hf_hub_download(source.repository, name, revision=source.revision))
        # A subclass of EntryNotFoundError: without a connection, the file may still exist.
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(source.repository, source.files[-1], revision=source.revision))


def _get_reason(error: Exception) -> str:
    """Return the reason of a failed download in a few words."""
    if isinstance(error, LocalEntryNotFoundError):
        return "no network" if not _is_offline() else "HF_HUB_OFFLINE is set"
    return get_first_line(error)


def _is_offline() -> bool:
    return bool(constants.HF_HUB_OFFLINE)
