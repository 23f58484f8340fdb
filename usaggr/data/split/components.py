"""Components: samples tied by the same image bytes, the same path or the same subject, across all tasks.

What is tied must be in one fold, or a model would be tested on what it was trained on.
"""

from collections.abc import Hashable, Sequence

from usaggr.data.samples import Sample


def components_of(samples: Sequence[Sample]) -> list[int]:
    """Number of each sample's component; components are numbered by their first sample, in the samples' order."""
    parent = list(range(len(samples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[Hashable, int] = {}
    for i, sample in enumerate(samples):
        for tie in (("image", sample.image_hash), ("path", sample.image_path), ("subject", sample.subject_id)):
            first = seen.setdefault(tie, i)
            a, b = root(first), root(i)
            parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(samples))]
