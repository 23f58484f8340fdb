"""The command `usaggr affinity`: which tasks help each other, and a grouping based on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import ConfigDir, Words, compose_from_words
from usaggr.cli.option_checks import check_new_file

if TYPE_CHECKING:
    from usaggr.affinity.estimate import Affinities
    from usaggr.results.affinity import Measure


Measures = Annotated[
    list[str] | None,
    typer.Option(
        help="lookahead, gradient, routing or features; may be given several times, and the first one decides "
        "affinity.yaml. Default: lookahead and gradient.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.yaml",
        help="File of the grouping. Default: conf/grouping/affinity.yaml.",
        show_default=False,
        callback=check_new_file,
    ),
]


def affinity(
    words: Words = None,
    config_dir: ConfigDir = None,
    measure: Measures = None,
    blocks: Annotated[
        int | None, typer.Option(help="Maximum number of models. Default: the number of clinical groups.", metavar="N")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Maximum number of parameters of all models, in millions.", metavar="X")
    ] = None,
    overhead: Annotated[float, typer.Option(help="Maximum time of the estimates, relative to training.")] = 0.3,
    scale: Annotated[
        float | None, typer.Option(help="A scale of the study. Default: its first scale.", show_default=False)
    ] = None,
    out: Out = None,
) -> None:
    """Estimate during unified runs which tasks help each other, and write a grouping to sweep.

    If it was stopped, run the same command to continue with the next seed.
    """
    from usaggr.affinity.blocks import get_block_limit, make_blocks
    from usaggr.affinity.estimate import DEFAULT_MEASURES, AffinityRequest, estimate
    from usaggr.affinity.grouping_file import check_limits, format_sweep_command, get_grouping_paths, write_grouping
    from usaggr.progress import RichProgress
    from usaggr.report.affinity.heatmap_file import write_heatmap

    study = compose_from_words(words, config_dir)
    request = AffinityRequest(_split_measures(measure) or DEFAULT_MEASURES, overhead, scale)
    # Paths and limits are checked before the estimates, which take as long as several runs.
    paths = get_grouping_paths(request.measures, out)
    check_limits(blocks, max_cost)
    progress = RichProgress()
    affinities = estimate(study, request, progress)
    limit = get_block_limit(affinities, blocks, max_cost, progress)
    print(f"affinities: {affinities.folder}/affinity.csv, summary.csv")
    for name in request.measures:
        grouping = make_blocks(affinities, name, limit)
        heatmap = write_heatmap(affinities, name, grouping)
        write_grouping(paths[name], affinities, name, grouping, limit)
        _print_grouping(affinities, name, grouping, paths[name], heatmap)
    print(f"\n{format_sweep_command(words or [], [paths[name].stem for name in request.measures])}")


def _split_measures(words: list[str] | None) -> "tuple[Measure, ...]":
    """Return the requested measures, each once; `a,b` are two. Their names are checked where they are used."""
    names = [name.strip() for word in words or [] for name in word.split(",")]
    return tuple(dict.fromkeys(names))  # type: ignore[arg-type]


def _print_grouping(
    affinities: "Affinities", measure: "Measure", blocks: dict[str, tuple[str, ...]], path: Path, heatmap: Path
) -> None:
    """Print a grouping in a few lines.

    Args:
        affinities: Estimates of all measures.
        measure: The measure that the grouping is based on.
        blocks: Task ids of each block, by the block's name.
        path: File of the grouping.
        heatmap: File of the figure.
    """
    from usaggr.affinity.grouping_file import compare_groupings, describe_estimates

    print(f"\n{measure}, {describe_estimates(affinities, measure)}: {path}")
    for name, tasks in blocks.items():
        print(f"  {name}: {', '.join(tasks)}" if (name,) != tasks else f"  {name}")
    values = ", ".join(f"{name} {value:.3g}" for name, value in compare_groupings(affinities, measure, blocks).items())
    print(f"  mean affinity within blocks: {values}")
    print(f"  heat map: {heatmap}")
