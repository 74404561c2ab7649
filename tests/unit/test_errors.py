"""The error tree: stable codes, honest statuses, and sentences that name the thing and the way out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fairway import errors
from fairway.errors import FAULT_CODES, FairwayError, Fault, error_codes


def every_class() -> list[type[FairwayError]]:
    """Return the tree, the base first."""
    found: list[type[FairwayError]] = [FairwayError]
    for kind in found:
        found.extend(k for k in kind.__subclasses__() if k.__module__ == errors.__name__)
    return found


@pytest.mark.parametrize("kind", every_class())
def test_every_error_has_its_code_title_and_exit_code(kind: type[FairwayError]) -> None:
    """In the grammar of codes; a status is one that HTTP knows for errors."""
    assert re.fullmatch(r"[a-z][a-z_]*[a-z]", kind.code)
    assert kind.title
    assert kind.title[0].isupper()
    assert 400 <= kind.status < 600
    assert kind.exit_code in {1, 2, 3}
    assert kind.__doc__


def test_no_two_errors_share_a_code() -> None:
    """A program tells them apart by it."""
    own = [kind.code for kind in every_class() if "code" in vars(kind)]
    assert sorted(own) == sorted(set(own))


def test_the_picture_of_the_tree_is_the_tree() -> None:
    """Every class stands in the module's docstring with its code."""
    picture = errors.__doc__ or ""
    for kind in every_class():
        if kind.__name__ not in {
            "FairwayError",
            "BundleError",
            "RegistryError",
            "RequestError",
            "PredictionError",
        }:
            assert re.search(rf"\+ {kind.__name__}\b", picture), kind


def test_all_codes_are_listed_with_their_titles() -> None:
    """Sorted; the family of malformed requests included."""
    codes = error_codes()
    assert list(codes) == sorted(codes)
    assert codes["json_invalid"] == "The body is not valid JSON"
    assert codes["model_not_found"] == "There is no such model"
    assert "failed" not in codes


def test_requests_that_are_wrong_never_give_a_5xx() -> None:
    """And what gives a 5xx is no fault of the request."""
    for kind in every_class():
        if issubclass(kind, errors.RequestError):
            assert 400 <= kind.status < 500
        if issubclass(kind, errors.PredictionError):
            assert kind.status >= 500


@pytest.mark.parametrize(
    ("error", "detail", "hint"),
    [
        (errors.BundleError("d", hint="h"), "d", "h"),
        (
            errors.MissingExtra("pandas", "pandas", purpose="a frame"),
            "a frame needs the package 'pandas', which is not installed",
            "pip install 'fairway[pandas]'",
        ),
        (
            errors.NameInvalid("model", "Ü" * 99),
            "'" + r"\xdc" * 77 + "...' is not a valid model name",
            "use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit",
        ),
        (
            errors.ModelNotFound("cofee", hint="did you mean 'coffee'?"),
            "there is no model 'cofee'",
            "did you mean 'coffee'?",
        ),
        (errors.VersionNotFound("coffee", 3), "there is no version coffee:3", ""),
        (errors.AliasNotFound("coffee", "x"), "there is no alias coffee@x", ""),
        (
            errors.NothingToRollBack("coffee", "production"),
            "coffee@production has no earlier target to go back to",
            "see what happened with: fairway show coffee --history",
        ),
        (
            errors.BodyTooLarge(10),
            "the body is larger than the limit of 10 bytes",
            "send fewer rows per call, or raise limits.max_body_bytes",
        ),
        (
            errors.TooManyRows(11, 10),
            "the body holds 11 rows; the limit is 10",
            "send fewer rows per call, or raise limits.max_rows",
        ),
        (errors.MethodNotAllowed("PUT", ["GET", "HEAD"]), "PUT is not allowed here", "use GET, HEAD"),
        (
            errors.ModelFailed("coffee:3"),
            "coffee:3 raised an error on this input",
            "the server's log holds the cause under this request id",
        ),
        (
            errors.InternalError(),
            "the server failed to answer this request",
            "the server's log holds the cause under this id",
        ),
        (
            errors.PortInUse("127.0.0.1", 5000),
            "port 5000 on 127.0.0.1 is in use by another process",
            "choose another one: --port 5001",
        ),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(error: FairwayError, detail: str, hint: str) -> None:
    """The sentence is made from facts, in one place."""
    assert (str(error), error.detail, error.hint) == (detail, detail, hint)


def test_a_malformed_request_carries_the_code_of_its_kind() -> None:
    """One class, a family of codes."""
    error = errors.MalformedRequest("json_invalid", "d")
    assert (error.code, error.title, error.status) == ("json_invalid", "The body is not valid JSON", 400)
    with pytest.raises(KeyError):
        errors.MalformedRequest("nonsense", "d")


@pytest.mark.parametrize(
    ("faults", "total", "detail"),
    [
        ([Fault("/a", "value_type", "expected number")], None, "expected number - at /a"),
        ([Fault("", "value_type", "expected a row")], None, "expected a row"),
        ([Fault("/a", "x", "m"), Fault("/b", "x", "n")], None, "m - at /a (and 1 more)"),
        ([Fault("/a", "x", "m")], 40, "m - at /a (and 39 more)"),
    ],
)
def test_a_mismatch_begins_with_its_first_fault(faults: list[Fault], total: int | None, detail: str) -> None:
    """And says how many more there are."""
    error = errors.SignatureMismatch(faults, total=total)
    assert error.detail == detail
    assert error.total == (total or len(faults))


def test_a_body_of_no_form_has_one_fault_at_its_place() -> None:
    """With the code of the error itself."""
    error = errors.BodyShape("no form", pointer="/data", hint="h", example=[])
    assert error.faults == (Fault("/data", "body_shape", "no form"),)
    assert (error.hint, error.example) == ("h", [])


def test_a_fault_is_written_without_what_it_does_not_know() -> None:
    """Expected and got are there when they are known."""
    assert Fault("/a", "value_type", "m").as_dict() == {"pointer": "/a", "code": "value_type", "message": "m"}
    assert Fault("/a", "value_type", "m", "number", "string").as_dict()["got"] == "string"
    assert all(sentence.endswith(".") for sentence in FAULT_CODES.values())


def test_a_remote_error_holds_the_problem_that_was_received() -> None:
    """Whatever a server sent: absent members are empty."""
    problem: dict[str, Any] = {
        "detail": "d",
        "hint": "h",
        "errors": [{"pointer": "/a", "code": "c", "message": "m", "expected": "number", "got": "string"}, {}],
    }
    error = errors.RemoteError(problem, 422)
    assert (str(error), error.hint, error.status_code) == ("d", "h", 422)
    assert list(error.faults) == [Fault("/a", "c", "m", "number", "string"), Fault("", "", "")]
    assert str(errors.RemoteError({}, 500)) == "the server gave no reason"
