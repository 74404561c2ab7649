"""The public names: few, sorted, documented, and all of them there."""

from __future__ import annotations

import inspect

import fairway


def test_the_names_are_sorted_and_each_stands_once() -> None:
    """The list is easy to read and to compare."""
    assert list(fairway.__all__) == sorted(set(fairway.__all__))


def test_every_name_can_be_had() -> None:
    """What is promised exists, although it is loaded only when asked for."""
    for name in fairway.__all__:
        assert getattr(fairway, name) is not None


def test_the_names_are_what_dir_shows() -> None:
    """Completion in an editor or notebook offers the public names, loaded or not."""
    assert set(fairway.__all__) <= set(dir(fairway))


def test_every_name_says_what_it_is() -> None:
    """`help(fairway.push)` answers, for every function, class and module."""
    silent = [
        name
        for name in fairway.__all__
        if name != "__version__" and not inspect.getdoc(getattr(fairway, name))
    ]

    assert not silent


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typing mistake ends as in any other module."""
    assert not hasattr(fairway, "no_such_name")
