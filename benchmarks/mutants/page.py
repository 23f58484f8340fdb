"""Write the outcomes of the trials as a page: docs/mutants.md."""

from collections.abc import Mapping, Sequence

from benchmarks.generated import table
from benchmarks.mutants.catalogue import Mutant
from benchmarks.mutants.trials import Outcome

Outcomes = Mapping[str, Outcome]
"""Outcomes by the name of the mutant."""


def page(mutants: Sequence[Mutant], before: Outcomes, after: Outcomes) -> str:
    """Return the page.

    Args:
        mutants: All entries of the catalog.
        before: Outcomes when the mutants were chosen; a mutant may be missing.
        after: Current outcomes; a mutant may be missing.
    """
    chosen = [mutant for mutant in mutants if mutant.round == 2]
    sections = [
        _OPENING,
        _BY_ROOM.format(count=len(chosen)),
        _by_room(chosen, before, after),
        _EVERY,
        _every(mutants, after),
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def shares(outcomes: Sequence[Outcome | None]) -> tuple[int, int, int, int]:
    """Return the numbers of mutants killed by fast tests, killed by slow tests only, not killed, and not run."""
    verdicts = [None if outcome is None else outcome.verdict for outcome in outcomes]
    return verdicts.count("fast"), verdicts.count("slow"), verdicts.count("survived"), verdicts.count(None)


def _by_room(mutants: Sequence[Mutant], before: Outcomes, after: Outcomes) -> str:
    rooms = list(dict.fromkeys(mutant.room for mutant in mutants))
    lines = [_row(room, [m for m in mutants if m.room == room], before, after) for room in sorted(rooms)]
    columns = ["package", "mutants", "equivalent", "before", "fast now", "slow now", "survive now"]
    return table(columns, [*lines, _row("all", mutants, before, after)])


def _row(name: str, mutants: Sequence[Mutant], before: Outcomes, after: Outcomes) -> list[str]:
    tried = [mutant for mutant in mutants if not mutant.equivalent]
    cells = [name, str(len(mutants)), str(len(mutants) - len(tried))]
    fast, _, _, absent = shares([before.get(mutant.name) for mutant in tried])
    cells.append(_share(fast, len(tried) - absent))
    fast, slow, survived, absent = shares([after.get(mutant.name) for mutant in tried])
    run = len(tried) - absent
    return [*cells, _share(fast, run), _share(slow, run), str(survived)]


def _share(killed: int, run: int) -> str:
    return f"{killed}/{run} ({killed / run:.0%})" if run else "not run"


def _every(mutants: Sequence[Mutant], after: Outcomes) -> str:
    """Return a table with the names of the mutants of each package, by their kind and current outcome."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for mutant in mutants:
        outcome = after.get(mutant.name)
        verdict = "equivalent" if mutant.equivalent else "not run" if outcome is None else outcome.verdict
        names.setdefault((mutant.room, _KINDS[mutant.round], verdict), []).append(f"`{mutant.name}`")
    lines = ["| package | kind | now | mutants |", "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(key)} | {' '.join(names[key])} |" for key in sorted(names)]
    return "\n".join(lines)


_OPENING = """
# Faults that the tests detect

A mutant is a copy of the sources with one plausible fault; a test that fails only there kills it. `make mutants` tries
each mutant of `benchmarks/mutants/catalogue/` with the tests that execute the changed lines, the cheapest first, until
one fails, and rewrites this page.
"""
_BY_ROOM = """
## Share of killed mutants

{count} mutants were chosen from the sources alone, before anybody had checked which ones the tests detect. "Before":
killed by the fast tests of that time in the module and its neighbors; others may kill more. "Slow": killed only by a
slow test. Shares refer to mutants that were run and are not equivalent; required: at least 95 % now.
"""
_EVERY = """
## Every mutant

Kinds: *review*: no fast test detected it when a review tried it; *sources*: the mutants above; *tests*: chosen with the
tests that kill it. *Equivalent*: no test can distinguish it from the sources, for the reason in the catalogue.
`benchmarks/mutants/after.json` names the test that fails.
"""
_KINDS = {1: "review", 2: "sources", 3: "tests"}
"""Kind of a mutant by its round in the catalogue."""
