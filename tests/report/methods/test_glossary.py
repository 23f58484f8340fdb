"""Terms of topics stand where the topic puts them."""

from collections.abc import Callable

import pytest

from tests.report.reading import find, texts
from usaggr.document.elements import Details, Document, Items
from usaggr.report.material import Material
from usaggr.report.methods.glossary import write_words
from usaggr.report.topic import Term


def names(items: Items) -> list[str]:
    return [item.split("**")[1] for item in items.items]


def words(material: Material, *terms: Term) -> list[str]:
    section = write_words(material, terms, ())
    assert section is not None
    (items,) = [block for block in section.blocks if isinstance(block, Items)]
    return names(items)


def columns(material: Material, *terms: Term) -> list[str]:
    section = write_words(material, (), terms)
    assert section is not None
    (folded,) = [
        block for block in section.blocks if isinstance(block, Details) and block.summary.startswith("Columns")
    ]
    (items,) = folded.blocks
    assert isinstance(items, Items)
    return names(items)


@pytest.mark.parametrize(("written", "general"), [(words, "variant"), (columns, "negative_transfer")])
def test_a_term_follows_the_general_term_that_it_names_or_stands_at_the_end(
    usual: Material, written: Callable[..., list[str]], general: str
) -> None:
    plain = written(usual)
    place = plain.index(general) + 1
    terms = (Term("last", "x"), Term("first of two", "x", after=general), Term("second of two", "x", after=general))
    assert written(usual, *terms) == [*plain[:place], "first of two", "second of two", *plain[place:], "last"]


def test_a_term_that_follows_no_general_term_is_an_error(usual: Material) -> None:
    with pytest.raises(ValueError, match="no general term nowhere"):
        words(usual, Term("lost", "x", after="nowhere"))


def test_terms_of_topics_are_in_the_glossary_of_a_report_and_nowhere_else(
    usual: Material, usual_report: Document
) -> None:
    said = texts(find(usual_report, "Words"))
    for term in ("active parameters", "change of sharing", "probability of improvement"):
        assert f"**{term}**" in said
        assert term not in words(usual)
