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
        mutants: the catalogue.
        before: outcomes when the mutants were chosen; a mutant may be missing.
        after: outcomes now; a mutant may be missing.
    """
    chosen = [mutant for mutant in mutants if mutant.round == 2]
    parts = [_OPENING, _BY_ROOM.format(count=len(chosen)), _by_room(chosen, before, after), _EVERY]
    for number, heading in _ROUNDS.items():
        rows = [
            [f"`{m.name}`", m.why, _word(before.get(m.name)), _word(after.get(m.name)), _test(after.get(m.name))]
            for m in mutants if m.round == number and not m.equivalent
        ]  # fmt: skip
        parts += [heading, _left(["mutant", "fault", "before", "now", "test that fails"], rows)]
    equivalent = [[f"`{m.name}`", m.why, m.equivalent] for m in mutants if m.equivalent]
    if equivalent:
        parts += [_EQUIVALENT, _left(["mutant", "change", "why no test can tell"], equivalent)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def shares(outcomes: Sequence[Outcome | None]) -> tuple[int, int, int, int]:
    """Return how many were killed by fast tests, by slow ones only, by none, and how many were not run."""
    verdicts = [None if outcome is None else outcome.verdict for outcome in outcomes]
    return verdicts.count("fast"), verdicts.count("slow"), verdicts.count("survived"), verdicts.count(None)


def _by_room(mutants: Sequence[Mutant], before: Outcomes, after: Outcomes) -> str:
    rooms = list(dict.fromkeys(mutant.room for mutant in mutants))
    rows = [_row(room, [m for m in mutants if m.room == room], before, after) for room in sorted(rooms)]
    columns = ["room", "mutants", "equivalent", "fast before", "slow before", "fast now", "slow now", "survive now"]
    return table(columns, [*rows, _row("all", mutants, before, after)])


def _row(name: str, mutants: Sequence[Mutant], before: Outcomes, after: Outcomes) -> list[str]:
    tried = [mutant for mutant in mutants if not mutant.equivalent]
    cells = [name, str(len(mutants)), str(len(mutants) - len(tried))]
    for outcomes in (before, after):
        fast, slow, _, absent = shares([outcomes.get(mutant.name) for mutant in tried])
        run = len(tried) - absent
        cells += [_share(fast, run), _share(slow, run)]
    return [*cells, str(shares([after.get(mutant.name) for mutant in tried])[2])]


def _share(killed: int, run: int) -> str:
    return f"{killed} of {run} ({100 * killed / run:.0f} %)" if run else "not run"


def _word(outcome: Outcome | None) -> str:
    return "not run" if outcome is None else outcome.verdict


def _test(outcome: Outcome | None) -> str:
    """Return the file and function of the test that fails, without its parameters."""
    return "" if outcome is None or not outcome.test else f"`{outcome.test.split('[')[0].replace('|', '/')}`"


def _left(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts."""
    lines = (columns, ["---"] * len(columns), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


_OPENING = """
# Which faults the tests notice

A mutant is a copy of the sources with one plausible fault in it. A test that fails in the copy, and passes in the
sources, kills the mutant. `make mutants` tries every mutant of `benchmarks/mutants/catalogue/` and rewrites this page.
For each one it runs the tests that execute the changed lines, the cheapest first, until one fails.
"""
_BY_ROOM = """
## Share of mutants that are killed

{count} mutants, chosen from the sources alone, before anybody looked at what the tests notice. "Before" is the state of
the tests at that time, tried with the fast tests of the module and its neighbours alone, so that a test elsewhere may
have killed more. Shares are of the mutants that were run and are not equivalent; asked: at least 95 % now. "slow"
counts the mutants that only a slow test kills.
"""
_EVERY = """
## Every mutant
"""
_ROUNDS = {
    1: "### Found by a review\n\nFaults that no fast test noticed when a review tried them.",
    2: "### Chosen from the sources",
    3: "### Added with their tests\n\nFaults that were chosen while the tests that kill them were written.",
}
_EQUIVALENT = """
### Equivalent

Changes that no test can tell from the sources.
"""
