"""Try the mutants of the catalogue: `python -m benchmarks.mutants`, which rewrites docs/mutants.md.

Goes on where it was stopped: outcomes are kept in outputs/mutants/after.json until sources or tests change.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from benchmarks.mutants.catalogue import CatalogueError, Mutant, read_catalogue
from benchmarks.mutants.noticing import Noticing
from benchmarks.mutants.page import page, shares
from benchmarks.mutants.trials import Laboratory, Outcome

ROOT = Path(__file__).parent.parent.parent
BEFORE = Path(__file__).parent / "before.json"
"""Outcomes at commit 663d23c, when the mutants were chosen; those of round 1 as the review reported them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants, write the page, and return 1 if one survives that is not equivalent."""
    parser = argparse.ArgumentParser(description="Which plausible faults the tests notice.")
    parser.add_argument("--only", nargs="*", default=[], help="names of mutants, or of rooms; default: all")
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout whose sources and tests are tried")
    parser.add_argument(
        "--coverage", type=Path, help="coverage database with a context a test; default: recorded first"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("outputs/mutants/after.json"), help="where outcomes are kept"
    )
    parser.add_argument("--slow", action="store_true", help="run the slow tests of a room on what no fast test kills")
    parser.add_argument("--rooms", action="store_true", help="run the room's test folder too, if no chosen test fails")
    parser.add_argument("--again", action="store_true", help="try those again whose outcome is known")
    parser.add_argument("--page", type=Path, default=Path("docs/mutants.md"), help="page to rewrite")
    options = parser.parse_args(arguments)
    mutants = [m for m in read_catalogue() if not options.only or {m.name, m.room} & set(options.only)]
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        closing(Laboratory(options.tree, Path(folder))) as laboratory,
    ):
        outcomes = try_all(mutants, laboratory, options)
    options.page.write_text(page(read_catalogue(), read_outcomes(BEFORE), outcomes))
    tried = [outcomes.get(mutant.name) for mutant in mutants if not mutant.equivalent]
    fast, slow, survived, _ = shares(tried)
    print(f"{options.page}: {len(tried)} mutants: {fast} killed by fast tests, {slow} by slow ones, {survived} survive")
    return 1 if survived else 0


def try_all(mutants: Sequence[Mutant], laboratory: Laboratory, options: argparse.Namespace) -> dict[str, Outcome]:
    """Try the mutants whose outcome is not known yet; return all that are known. Each is kept at once."""
    outcomes = read_outcomes(options.results, laboratory.content)
    open_ = mutants if options.again else [m for m in mutants if is_open(outcomes.get(m.name), options.slow)]
    check(open_, laboratory)
    if not open_:
        return outcomes
    options.results.parent.mkdir(parents=True, exist_ok=True)
    database = options.coverage or options.results.parent / "tests.coverage"
    if options.coverage is None:
        laboratory.record(database.absolute())
    noticing = Noticing(database)
    for number, mutant in enumerate(open_, start=1):
        fast = options.again or mutant.name not in outcomes
        found = outcomes[mutant.name] = laboratory.try_out(mutant, noticing, fast, options.slow, options.rooms)
        write_outcomes(options.results, outcomes, laboratory.content)
        where = f"{number}/{len(open_)} {mutant.name}"
        print(f"{where}: {found.verdict} {found.test} ({found.tests} tests, {found.seconds:.0f} s)", flush=True)
    return outcomes


def is_open(outcome: Outcome | None, slow: bool) -> bool:
    """Return whether a mutant is still to be tried: never tried, or a survivor that has not met the slow tests."""
    return outcome is None or (slow and outcome.verdict == "survived" and not outcome.met_slow_tests)


def check(mutants: Sequence[Mutant], laboratory: Laboratory) -> None:
    """Refuse mutants that do not apply to the tree, before anything is run.

    Raises:
        CatalogueError: names all of them.
    """
    faults = []
    for mutant in mutants:
        try:
            mutant.apply(laboratory.source(mutant))
        except (CatalogueError, OSError) as error:
            faults.append(str(error))
    if faults:
        raise CatalogueError("\n".join(faults))


def read_outcomes(path: Path, content: str | None = None) -> dict[str, Outcome]:
    """Return the outcomes in a file; none where there is no file, or where they were found in another tree.

    Args:
        path: written by `write_outcomes`.
        content: hash of the tree (see `Laboratory.content`) in which they must have been found; None: in any.
    """
    if not path.exists():
        return {}
    stored = json.loads(path.read_text())
    if content not in (None, stored["content"]):
        return {}
    return {name: Outcome(**fields) for name, fields in stored["outcomes"].items()}


def write_outcomes(path: Path, outcomes: dict[str, Outcome], content: str) -> None:
    """Write outcomes, in the order of their names, with the hash of the tree in which they were found."""
    fields = {name: asdict(outcomes[name]) for name in sorted(outcomes)}
    path.write_text(json.dumps({"content": content, "outcomes": fields}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CatalogueError as error:
        sys.exit(f"benchmarks/mutants/catalogue: {error}")
