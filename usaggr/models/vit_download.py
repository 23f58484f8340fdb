"""timm's own weights of a vision transformer: where they are offered, under which licence, and the file in the cache.

What is in the cache is taken as it is, without asking the network: all runs of a sweep read the same file.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import timm
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
from timm.models import get_pretrained_cfg

from usaggr.config.model import M2DinoConfig
from usaggr.errors import ConfigError
from usaggr.io.checksums import file_hash
from usaggr.models.weight_files import first_line

_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the file, the first that is there."""
_LICENCES = {
    "dinov3-license": "the DINOv3 License, which is Meta's own and is accepted on that page",
    "cc-by-nc-4.0": "CC BY-NC 4.0, not for commercial use",
}
"""Those that ask for something."""


@dataclass(frozen=True)
class Source:
    """Where timm's weights of an encoder are offered."""

    repository: str
    """Id on the hub."""
    revision: str | None
    files: tuple[str, ...]
    """Names under which the file may be there, the best first."""
    licence: str

    @property
    def page(self) -> str:
        """Address of the page on which a person finds them."""
        return f"https://huggingface.co/{self.repository}"


def source(model: M2DinoConfig) -> Source | None:
    """Where the weights of the encoder's name are offered; None where timm has none."""
    found = get_pretrained_cfg(model.encoder)
    if found is None or not found.hf_hub_id:
        return None
    repository, _, revision = found.hf_hub_id.partition("@")
    files = (found.hf_hub_filename,) if found.hf_hub_filename else _FILES
    return Source(repository, revision or None, files, found.license or "not told")


def downloaded(model: M2DinoConfig) -> Path:
    """The file with timm's own weights of the encoder: from the cache, else from the network.

    Raises:
        ConfigError: timm has none, or they are neither here nor to be had; it says which file to fetch from where.
    """
    offer = source(model)
    if offer is None:
        architecture = model.encoder.partition(".")[0]
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        raise ConfigError(
            f"model.weights=timm: timm offers no weights of {model.encoder}"
            + (f"; it does of {', '.join(tagged)}" if tagged else "; give a local file, or null")
        )
    try:
        return _cached(offer) or _fetched(offer)
    except Exception as error:  # of the hub's client: it may be any of several libraries
        licence = _LICENCES.get(offer.licence, offer.licence)
        raise ConfigError(
            f"model.weights=timm: the weights of {model.encoder} are not in the cache and could not be downloaded "
            f"({_reason(error)}); fetch {offer.files[0]} of {offer.repository} from {offer.page} (licence: {licence}), "
            "put it where the runs can read it, and set model.weights=FILE"
        ) from error


def content_of(model: M2DinoConfig) -> str:
    """What timm's own weights of the encoder are now: repository, file and SHA-256."""
    offer, file = source(model), downloaded(model)
    assert offer is not None
    blob = file.resolve().name  # the hub's cache names large files by their hash
    if not re.fullmatch(r"[0-9a-f]{64}", blob):
        blob = file_hash(file)
    return f"{offer.repository} {file.name} sha256:{blob}"


def silence_hub() -> None:
    """Keep the hub's client from writing on the terminal: bars of its own, and a warning for each retry."""
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _cached(offer: Source) -> Path | None:
    for name in offer.files:
        try:
            return Path(hf_hub_download(offer.repository, name, revision=offer.revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    return None


def _fetched(offer: Source) -> Path:
    """Download the first of the files that is offered."""
    for name in offer.files[:-1]:
        try:
            return Path(hf_hub_download(offer.repository, name, revision=offer.revision))
        except LocalEntryNotFoundError:  # there is no network, which is no answer about the file
            raise
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(offer.repository, offer.files[-1], revision=offer.revision))


def _reason(error: Exception) -> str:
    """What the hub's client says, shortly: its first sentence."""
    if isinstance(error, LocalEntryNotFoundError):
        return "no network" if not _offline() else "HF_HUB_OFFLINE is set"
    return first_line(error)


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
