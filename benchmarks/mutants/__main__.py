"""Try the mutants of the catalog and rewrite docs/mutants.md: `python -m benchmarks.mutants`.

An interrupted command continues when repeated: outcomes are stored in outputs/mutants/after.json until sources or tests
change. The page's outcomes, with the test that kills each mutant, are also written to benchmarks/mutants/after.json.
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
"""Outcomes at commit 663d23c, when the mutants were chosen; those of round 1 are as the review reported them."""

AFTER = Path(__file__).parent / "after.json"
"""Outcomes on the page; those of the last complete command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants, write the page, and return 1 if a mutant survives that is not equivalent."""
    parser = argparse.ArgumentParser(description="Insert plausible faults and check that a test fails for each.")
    parser.add_argument("--only", nargs="*", default=[], help="names of mutants, or of packages; default: all")
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout whose sources and tests are tried")
    parser.add_argument(
        "--coverage", type=Path, help="coverage database with one context per test; default: recorded first"
    )
    parser.add_argument("--results", type=Path, default=Path("outputs/mutants/after.json"), help="file of the outcomes")
    parser.add_argument("--slow", action="store_true", help="run the package's slow tests if no fast test fails")
    parser.add_argument(
        "--rooms", action="store_true", help="run the package's test folder too, if no chosen test fails"
    )
    parser.add_argument("--again", action="store_true", help="repeat mutants that have an outcome")
    parser.add_argument("--page", type=Path, default=Path("docs/mutants.md"), help="page to rewrite")
    parser.add_argument("--published", type=Path, default=AFTER, help="file of the outcomes on the page")
    options = parser.parse_args(arguments)
    mutants = [m for m in read_catalogue() if not options.only or {m.name, m.room} & set(options.only)]
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        closing(Laboratory(options.tree, Path(folder))) as laboratory,
    ):
        outcomes = try_all(mutants, laboratory, options)
    options.page.write_text(page(read_catalogue(), read_outcomes(BEFORE), outcomes), encoding="utf-8")
    # Equivalent mutants have no outcome that a reader could learn from.
    tried_outcomes = {name: outcome for name, outcome in outcomes.items() if outcome.verdict != "equivalent"}
    write_outcomes(options.published, tried_outcomes, laboratory.content)
    tried = [outcomes.get(mutant.name) for mutant in mutants if not mutant.equivalent]
    fast, slow, survived, _ = shares(tried)
    print(f"{options.page}: {len(tried)} mutants: {fast} killed by fast tests, {slow} by slow ones, {survived} survive")
    return 1 if survived else 0


def try_all(mutants: Sequence[Mutant], laboratory: Laboratory, options: argparse.Namespace) -> dict[str, Outcome]:
    """Try the mutants without an outcome, and return all outcomes.

    Each outcome is written as soon as it is available.

    Args:
        mutants: Requested mutants.
        laboratory: Copy of the tree.
        options: Options of the command line.
    """
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
        outcome = outcomes[mutant.name] = laboratory.try_out(mutant, noticing, fast, options.slow, options.rooms)
        write_outcomes(options.results, outcomes, laboratory.content)
        where = f"{number}/{len(open_)} {mutant.name}"
        print(f"{where}: {outcome.verdict} {outcome.test} ({outcome.tests} tests, {outcome.seconds:.0f} s)", flush=True)
    return outcomes


def is_open(outcome: Outcome | None, slow: bool) -> bool:
    """Return True if a mutant was never tried, or survived without the requested slow tests."""
    return outcome is None or (slow and outcome.verdict == "survived" and not outcome.met_slow_tests)


def check(mutants: Sequence[Mutant], laboratory: Laboratory) -> None:
    """Check that all mutants apply to the tree, before anything is run.

    Raises:
        CatalogueError: if some do not; the message names all of them.
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
    """Return the outcomes in a file; empty if the file is missing or belongs to another tree.

    Args:
        path: File written by `write_outcomes`.
        content: Hash of the tree (see `Laboratory.content`) to which they must belong; None: any tree.
    """
    if not path.exists():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    if content not in (None, stored["content"]):
        return {}
    return {name: Outcome(**fields) for name, fields in stored["outcomes"].items()}


def write_outcomes(path: Path, outcomes: dict[str, Outcome], content: str) -> None:
    """Write outcomes, sorted by name, with the hash of the tree to which they belong."""
    fields = {name: asdict(outcomes[name]) for name in sorted(outcomes)}
    path.write_text(json.dumps({"content": content, "outcomes": fields}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CatalogueError as error:
        sys.exit(f"benchmarks/mutants/catalogue: {error}")
