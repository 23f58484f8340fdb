"""The command `usaggr affinity`: which tasks help each other, and a grouping made of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import split_words
from usaggr.cli.completion import complete_words

if TYPE_CHECKING:
    from usaggr.affinity.estimate import Affinities
    from usaggr.results.affinity import Measure


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[STUDY] [OVERRIDES]...",
        help="As of `usaggr sweep`: a study (default: demo), and overrides.",
        show_default=False,
        autocompletion=complete_words,
    ),
]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="Folder searched before ./conf and ./sweeps.", show_default=False)
]
Measures = Annotated[
    list[str] | None,
    typer.Option(
        help="lookahead, gradient (these two unless given), routing or features; several are allowed, and the first "
        "one makes affinity.yaml.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE.yaml", help="The grouping (default: conf/grouping/affinity.yaml).", show_default=False),
]


def affinity(
    words: Words = None,
    config_dir: ConfigDir = None,
    measure: Measures = None,
    blocks: Annotated[
        int | None, typer.Option(help="Models at the most (default: as many as clinical groups).", metavar="N")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Million parameters of all models together, at the most.", metavar="X")
    ] = None,
    overhead: Annotated[float, typer.Option(help="Seconds of probes for one second of training, at the most.")] = 0.3,
    scale: Annotated[float | None, typer.Option(help="Of the study (default: its first).", show_default=False)] = None,
    out: Out = None,
) -> None:
    """Estimate which tasks help each other, inside unified runs, and write a grouping to sweep.

    The same command goes on where it was stopped, seed by seed.
    """
    from usaggr.affinity.blocks import blocks_of, limit_of
    from usaggr.affinity.estimate import DEFAULT_MEASURES, Asked, estimate
    from usaggr.affinity.grouping_file import check_limits, grouping_paths, sweep_command, write_grouping
    from usaggr.config.compose import DEFAULT_STUDY, compose_study
    from usaggr.progress import RichProgress
    from usaggr.report.affinity.heatmap_file import write_heatmap

    name, overrides = split_words(words or [])
    study = compose_study(name or DEFAULT_STUDY, overrides, config_dir)
    asked = Asked(_measures(measure) or DEFAULT_MEASURES, overhead, scale)
    paths = grouping_paths(asked.measures, out)
    check_limits(blocks, max_cost)
    progress = RichProgress()
    found = estimate(study, asked, progress)
    limit = limit_of(found, blocks, max_cost, progress)
    print(f"affinities: {found.folder}/affinity.csv, summary.csv")
    for one in asked.measures:
        made = blocks_of(found, one, limit)
        heatmap = write_heatmap(found, one, made)
        write_grouping(paths[one], found, one, made, limit)
        _tell(found, one, made, paths[one], heatmap)
    print(f"\n{sweep_command(words or [], [paths[one].stem for one in asked.measures])}")


def _measures(given: list[str] | None) -> "tuple[Measure, ...]":
    """Those that were asked for, each once, checked where they are used; `a,b` are two."""
    names = [name.strip() for word in given or [] for name in word.split(",")]
    return tuple(dict.fromkeys(names))  # type: ignore[arg-type]


def _tell(
    found: "Affinities", measure: "Measure", blocks: dict[str, tuple[str, ...]], path: Path, heatmap: Path
) -> None:
    """A grouping in a few lines."""
    from usaggr.affinity.grouping_file import compared, estimates_told

    print(f"\n{measure}, {estimates_told(found, measure)}: {path}")
    for name, tasks in blocks.items():
        print(f"  {name}: {', '.join(tasks)}" if (name,) != tasks else f"  {name}")
    values = ", ".join(f"{name} {value:.3g}" for name, value in compared(found, measure, blocks).items())
    print(f"  mean affinity within blocks: {values}")
    print(f"  heat map: {heatmap}")
