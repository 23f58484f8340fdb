"""Everything that `usaggr data check` finds in sound samples, beside the faults of the others."""

from dataclasses import dataclass

from usaggr.config.study import DataConfig
from usaggr.data.check.class_balance import FoldBalance, balance
from usaggr.data.check.image_scan import look_at
from usaggr.data.check.label_maps import ClassShares, LabelMap, class_shares, label_maps
from usaggr.data.check.near_duplicates import NearPair, appearances, near_duplicates
from usaggr.data.check.statistics import ImageStatistics, image_statistics
from usaggr.data.samples import Dataset
from usaggr.data.split.leakage import Proof
from usaggr.data.split.make_split import split_dataset
from usaggr.data.split.manifest import prove_split
from usaggr.errors import DataError
from usaggr.progress import Progress


@dataclass(frozen=True)
class Findings:
    """What was found in a data set's sound samples."""

    no_split: str
    """Why the samples could not be split into folds; empty where they could."""
    near: tuple[NearPair, ...]
    """The nearest first."""
    balance: tuple[FoldBalance, ...]
    statistics: tuple[ImageStatistics, ...]
    shares: tuple[ClassShares, ...]
    maps: tuple[LabelMap, ...]
    proof: Proof | None = None
    """That folds are disjoint; None where there are no folds."""


def look_deeper(dataset: Dataset, data: DataConfig, progress: Progress) -> Findings:
    """Look at all images and labels of a data set, and at its split.

    Raises:
        DataError: a file cannot be read any more, or the cache cannot be written.
    """
    looks = look_at(dataset, data, progress)
    no_split, near, balances, proof = "", list[NearPair](), list[FoldBalance](), None
    try:
        split = split_dataset(dataset, data.split)
    except DataError as error:
        no_split = str(error)
    else:
        hashes = {key: look.hash for key, look in looks.images.items()}
        near = near_duplicates(appearances(dataset.samples, split.subsets), hashes, progress)
        balances = balance(dataset, split, looks)
        proof = prove_split(dataset, split)
    return Findings(
        no_split,
        tuple(near),
        tuple(balances),
        tuple(image_statistics(dataset, looks)),
        tuple(class_shares(dataset, looks)),
        tuple(label_maps(dataset, looks)),
        proof,
    )
