"""The findings of `usaggr data check` in valid samples, in addition to the errors of invalid rows."""

from dataclasses import dataclass

from usaggr.config.study import DataConfig
from usaggr.data.check.class_balance import SubsetBalance, count_balance
from usaggr.data.check.image_scan import scan_images
from usaggr.data.check.kind_counts import KindCount, count_file_kinds
from usaggr.data.check.label_maps import ClassShares, LabelMap, compute_class_shares, compute_label_maps
from usaggr.data.check.near_duplicates import NearPair, collect_distinct_images, find_near_duplicates
from usaggr.data.check.statistics import ImageStatistics, compute_image_statistics
from usaggr.data.samples import Dataset
from usaggr.data.split.leakage import Proof
from usaggr.data.split.make_split import split_dataset
from usaggr.data.split.manifest import describe_empty_subsets, prove_split
from usaggr.errors import DataError
from usaggr.progress import Progress


@dataclass(frozen=True)
class Findings:
    """Findings in the valid samples of a data set."""

    split_error: str
    """Reason why the samples cannot be split into subsets; empty if they can."""
    near_pairs: tuple[NearPair, ...]
    """Near-identical images in different subsets, the most similar first."""
    balance: tuple[SubsetBalance, ...]
    """Counts of each task in each subset; empty if there are no subsets."""
    statistics: tuple[ImageStatistics, ...]
    """Image statistics and outliers of each task."""
    shares: tuple[ClassShares, ...]
    """Shares of pixels of each class, for segmentation tasks."""
    maps: tuple[LabelMap, ...]
    """Maps of the positions of labels."""
    plan_error: str = ""
    """Reason why `usaggr plan` refuses the valid samples; empty if it accepts them."""
    proof: Proof | None = None
    """Counts that show whether the subsets are disjoint; None if there are no subsets."""
    kinds: tuple[KindCount, ...] = ()
    """Kinds of image and mask files."""


def examine_dataset(dataset: Dataset, data: DataConfig, progress: Progress) -> Findings:
    """Examine all images and labels of a data set, and its split.

    Args:
        dataset: The valid samples.
        data: Configuration that the data set was read with.
        progress: Shows the progress of reading and comparing images.

    Raises:
        DataError: A file that was read before cannot be read now, or the cache cannot be written.
    """
    scan = scan_images(dataset, data, progress)
    split_error = plan_error = ""
    near_pairs: list[NearPair] = []
    balances: list[SubsetBalance] = []
    proof: Proof | None = None
    try:
        split = split_dataset(dataset, data.split)
    except DataError as error:
        # The other findings do not need a split, so the check continues and reports the reason.
        split_error = plan_error = str(error)
    else:
        hashes = {key: image.hash for key, image in scan.images.items()}
        near_pairs = find_near_duplicates(collect_distinct_images(dataset.samples, split.subsets), hashes, progress)
        balances = count_balance(dataset, split, scan)
        proof = prove_split(dataset, split)
        plan_error = describe_empty_subsets(dataset, split)
    return Findings(
        split_error,
        tuple(near_pairs),
        tuple(balances),
        tuple(compute_image_statistics(dataset, scan)),
        tuple(compute_class_shares(dataset, scan)),
        tuple(compute_label_maps(dataset, scan)),
        plan_error,
        proof,
        tuple(count_file_kinds(dataset)),
    )


def describe_plan_error(dataset: Dataset, data: DataConfig) -> str:
    """Return the reason why `usaggr plan` refuses the samples of a data set; empty if it accepts them."""
    try:
        return describe_empty_subsets(dataset, split_dataset(dataset, data.split))
    except DataError as error:
        return str(error)
