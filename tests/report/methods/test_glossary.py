"""Terms of topics are in the glossary after the general term that they name."""

from collections.abc import Callable

import pytest

from tests.report.reading import find, texts
from usaggr.document.elements import Details, Document, Items
from usaggr.report.material import Material
from usaggr.report.methods.glossary import write_glossary
from usaggr.report.topic import Term


def names(items: Items) -> list[str]:
    return [item.split("**")[1] for item in items.items]


def terms_of(material: Material, *terms: Term) -> list[str]:
    section = write_glossary(material, terms, ())
    assert section is not None
    (items,) = [block for block in section.blocks if isinstance(block, Items)]
    return names(items)


def columns_of(material: Material, *terms: Term) -> list[str]:
    section = write_glossary(material, (), terms)
    assert section is not None
    (details,) = [
        block for block in section.blocks if isinstance(block, Details) and block.summary.startswith("Columns")
    ]
    (items,) = details.blocks
    assert isinstance(items, Items)
    return names(items)


@pytest.mark.parametrize(("list_names", "general"), [(terms_of, "variant"), (columns_of, "negative_transfer")])
def test_a_term_follows_the_general_term_that_it_names_or_is_at_the_end(
    usual: Material, list_names: Callable[..., list[str]], general: str
) -> None:
    plain = list_names(usual)
    index = plain.index(general) + 1
    terms = (Term("last", "x"), Term("first of two", "x", after=general), Term("second of two", "x", after=general))
    assert list_names(usual, *terms) == [*plain[:index], "first of two", "second of two", *plain[index:], "last"]


def test_a_term_that_follows_no_general_term_is_an_error(usual: Material) -> None:
    with pytest.raises(ValueError, match="no general term nowhere"):
        terms_of(usual, Term("lost", "x", after="nowhere"))


def test_terms_of_topics_are_in_the_glossary_of_a_report_and_nowhere_else(
    usual: Material, usual_report: Document
) -> None:
    text = texts(find(usual_report, "Glossary"))
    for term in ("active parameters", "change of sharing", "probability of improvement"):
        assert f"**{term}**" in text
        assert term not in terms_of(usual)
