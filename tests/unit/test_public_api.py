"""The public names: listed once, sorted, loadable, and nothing beside them."""

import subprocess
import sys

import pytest

import fairway

EXPECTED = [
    "Bundle",
    "Client",
    "FairwayError",
    "Registry",
    "Signature",
    "alias",
    "approve",
    "audit",
    "backup",
    "bench",
    "check",
    "compile",
    "convert",
    "create_key",
    "create_signing_key",
    "delete",
    "diff",
    "distrust_key",
    "doctor",
    "errors",
    "explain",
    "export_versions",
    "gc",
    "history",
    "import_versions",
    "inspect",
    "list_keys",
    "list_models",
    "live_at",
    "load",
    "open_bundle",
    "open_registry",
    "pack",
    "predict",
    "promote",
    "protect",
    "pull",
    "push",
    "remove_alias",
    "restore",
    "revoke_key",
    "rollback",
    "rotate_key",
    "score",
    "serve",
    "show",
    "sign",
    "trust_key",
    "trusted_keys",
    "tune",
    "verify",
    "verify_audit",
]


def test_the_public_names_are_these() -> None:
    """A name is added or removed on purpose, here and in the changelog."""
    assert fairway.__all__ == EXPECTED
    assert sorted(fairway.__all__) == fairway.__all__


@pytest.mark.parametrize("name", EXPECTED)
def test_every_public_name_exists_and_explains_itself(name: str) -> None:
    """Each can be loaded and has a docstring."""
    assert getattr(fairway, name).__doc__
    assert name in dir(fairway)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy module behaves as a module does."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fairway.nonsense


def test_a_star_import_gives_all_of_them() -> None:
    """`from fairway import *` works in a notebook."""
    code = "from fairway import *; import fairway; assert not set(fairway.__all__) - set(globals())"
    subprocess.run([sys.executable, "-c", code], check=True)
