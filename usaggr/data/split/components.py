"""Components: samples connected by the same image bytes, the same path or the same subject, across all tasks.

A component is never divided between subsets. Otherwise a model would be tested on images it was trained on.
"""

from collections.abc import Hashable, Sequence

from usaggr.data.samples import Sample


def number_components(samples: Sequence[Sample]) -> list[int]:
    """Return the component number of each sample.

    Components are the connected components of a graph whose edges are shared images, paths and subjects. They are
    numbered from 0 in the order of their first samples.
    """
    parents = list(range(len(samples)))

    def find_root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]  # path halving keeps the trees shallow
            i = parents[i]
        return i

    first_with: dict[Hashable, int] = {}
    for i, sample in enumerate(samples):
        # The kind is part of the link: a subject may have the same name as a path.
        for link in (("image", sample.image_hash), ("path", sample.image_path), ("subject", sample.subject_id)):
            first = first_with.setdefault(link, i)
            # Roots are joined, not the samples: this sample may connect two components that already exist.
            a, b = find_root(first), find_root(i)
            parents[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(find_root(i), len(numbers)) for i in range(len(samples))]
