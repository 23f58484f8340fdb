"""The model card says how images were read for training."""

from usaggr.data.read.image_reading import FIRST_RULES, ReadingRules
from usaggr.inference.model_card import _describe_readings


def test_the_card_names_the_bit_depth_of_each_task() -> None:
    rules = {"a": ReadingRules(12, "apply", "black"), "b": ReadingRules(None, "apply", "black")}
    assert _describe_readings(rules) == {
        "alpha": "drawn on black",
        "sixteen_bits": "a: scaled as values of 12 bits, so that 4095 becomes 255; "
        "b: scaled by the smallest of 8, 10, 12 and 16 bits that holds the values of the file",
        "exif_orientation": "applied",
    }


def test_the_card_of_an_older_run_says_what_that_version_did() -> None:
    assert _describe_readings({"a": FIRST_RULES}) == {
        "alpha": "dropped",
        "sixteen_bits": "divided by 257, unless no value is above 255",
        "exif_orientation": "not applied",
    }
