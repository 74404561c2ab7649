"""Words and where they stand: what is left out of a text, and what stays."""

from __future__ import annotations

from fairway.bundle.signature import Input, Output, Signature
from fairway.inference.explain.words import MAX_UNITS, Place, Words

RECIPE = Signature(
    inputs=(
        Input("ingredients", "text_list"),
        Input("minutes", "number"),
        Input("steps", "text_list"),
        Input("title", "text"),
    ),
    outputs=(Output("difficulty", "label", "text"),),
)
TITLE = Signature(inputs=(Input("title", "text"),), outputs=RECIPE.outputs)


def test_words_of_every_text_are_units_of_their_own() -> None:
    """The same word in two inputs is two units; in one input it is one, wherever it stands."""
    words = Words(RECIPE, [["salt", "Sea salt"], 5.0, ["add salt"], "Soup"])
    assert [(u.name, u.text) for u in words.units] == [
        ("ingredients", "salt"),
        ("ingredients", "Sea"),
        ("steps", "add"),
        ("steps", "salt"),
        ("title", "Soup"),
    ]
    assert words.units[0].places == (Place(0, 0, 4), Place(1, 4, 8))


def test_leaving_a_word_out_leaves_everything_else() -> None:
    """Other inputs, spaces and commas stay; a list keeps its length."""
    words = Words(RECIPE, [["salt", "Sea salt"], 5.0, ["add salt, stir"], "Soup"])
    kept = [unit.text != "salt" for unit in words.units]
    assert words.without(kept) == [["", "Sea "], 5.0, ["add , stir"], "Soup"]
    assert words.without([True] * len(kept)) == [["salt", "Sea salt"], 5.0, ["add salt, stir"], "Soup"]


def test_words_are_told_apart_in_any_script() -> None:
    """Accents, apostrophes and hyphens belong to a word; case does not part two."""
    words = Words(TITLE, ["L'été, Été! well-made ΣΟΦΌΣ σοφός 東京"])
    assert [unit.text for unit in words.units] == ["L'été", "Été", "well-made", "ΣΟΦΌΣ", "東京"]


def test_nothing_to_say_gives_no_units() -> None:
    """Empty texts, empty lists, missing values and mere signs have no words."""
    for row in (
        [
            "",
        ],
        ["?! ..."],
        [None],
    ):
        assert Words(TITLE, row).units == []
    assert Words(RECIPE, [[], 1.0, None, ""]).units == []


def test_a_long_text_is_taken_by_phrases() -> None:
    """A text of more different words than can be weighed is cut into runs that together are all of it."""
    text = " ".join(f"word{n}" for n in range(3000)) + "."
    words = Words(TITLE, [text])
    assert words.is_by_phrase
    assert len(words.units) <= MAX_UNITS
    assert words.without([False] * len(words.units))[0].split() == ["."]
    assert words.without([True] * len(words.units)) == [text]


def test_many_short_texts_are_taken_by_phrases_too() -> None:
    """A list of more texts than can be weighed has no more units than that for a model to be asked about."""
    row = [[f"item{n} thing{n}" for n in range(2000)], 1.0, [], ""]
    words = Words(RECIPE, row)
    assert words.without([True] * len(words.units)) == row
    assert len(words.units) <= MAX_UNITS
