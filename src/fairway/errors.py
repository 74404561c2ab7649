"""The whole error tree: what can go wrong, its stable code, HTTP status and exit code.

```
FairwayError
+ SettingsError            settings_invalid     a bad or unknown setting
+ UsageError               usage                arguments that do not fit together
+ MissingExtra             extra_missing        an optional package is not installed
+ BundleError
|  + NameInvalid           name_invalid         a model, alias or file name outside the grammar
|  + ArtifactCorrupt       artifact_corrupt     unreadable model file or bundle
|  + ArtifactEmpty         artifact_empty       a file of zero bytes
|  + ArtifactDigest        artifact_digest      bytes that differ from the manifest
|  + ArtifactPath          artifact_path        a member name that leaves the bundle
|  + ArtifactImport        artifact_import      the model needs a module that is not there
|  + ArtifactUnsafe        artifact_unsafe      loading the file could run code that nobody allowed
|  |  + ArtifactUntrustedType artifact_untrusted_type  it needs a type that is not on the list of known ones
|  + ArtifactTypeMismatch  artifact_type_mismatch   a pickle under a name that promises another format
|  + ArtifactLimit         artifact_limit       loading the file takes more than any model needs
|  + ArchivePath           archive_path         a member of an archive has a name that leads elsewhere
|  + ArchiveLink           archive_link         a member of an archive is a link or a device
|  + ArchiveLimit          archive_limit        an archive that unpacks to too much
|  + SourceNotAllowed      source_not_allowed   a model is a file here, not an address
|  + ArtifactOutdated      artifact_outdated    another release of the framework saved it
|  + BundleTooNew          bundle_too_new       written by a newer fairway
|  + UntrustedBundle       bundle_untrusted     packed by somebody this registry does not trust
|  + NotSigned             bundle_not_signed    no required key has signed all of it
|  + UnknownFlavor         flavor_unknown       no flavor matches the model
|  + ExampleInvalid        example_invalid      a signature cannot be learnt from this table
|  + PackedModelDiffers    packed_model_differs the packed copy answers otherwise (a proof said no)
|  + PredictorNotProven    predictor_not_proven no proof lets this predictor answer for the model
+ SigningError
|  + KeyInvalid            key_invalid          no Ed25519 key, or the wrong passphrase
|  + KeyNotTrusted         key_not_trusted      no such key in the trust store
+ RegistryError
|  + RegistryInvalid       registry_invalid     the registry file is not a registry
|  + SchemaNewer           schema_newer         the registry was written by a newer fairway
|  + StoreUnavailable      registry_unavailable the registry cannot be reached
|  + RegistryBusy          registry_busy        another process holds the registry too long
|  + ArtifactStoreFailed   artifact_store       the object store fails or does not answer
|  + StorageFull           storage_full         no space left for a write
|  + ModelNotFound         model_not_found
|  + VersionNotFound       version_not_found
|  + AliasNotFound         alias_not_found
|  + VersionExists         version_exists
|  + NothingToRollBack     nothing_to_roll_back the alias has no earlier target
|  + UploadIncomplete      upload_incomplete    chunks are missing
|  + Conflict              conflict             somebody else was faster
|  + RegistryNotEmpty      registry_not_empty   a backup goes into an empty registry only
|  + VersionLive           version_live         an alias points to it
|  + KeyNotFound           key_not_found        no API key has this id
|  + AliasProtected        alias_protected      only promote and rollback move it
+ GateError                a gate said no
|  + GateRefused           gate_refused         the version does not pass its gate
|  + ApprovalMissing       approval_missing     a second person has to agree first
|  + SchemaChanged         schema_changed       callers of the live version would break
+ RequestError             a request that cannot be answered as it stands (4xx)
|  + MalformedRequest      body_empty, json_invalid, json_nonfinite, json_too_deep, json_number_range,
|  |                       json_duplicate_key, csv_invalid, encoding_invalid, path_invalid, query_invalid,
|  |                       chunk_limit, header_invalid
|  + FieldsInvalid         fields_invalid       fields of a management request; every fault is listed
|  + BodyShape             body_shape           valid JSON that is no form of a request
|  + SignatureMismatch     signature_mismatch   rows that do not fit; every fault is listed
|  + UnsupportedMediaType  media_type
|  + UnsupportedEncoding   content_encoding
|  + NotAcceptable         not_acceptable       no reply has a form that the Accept header takes
|  + BodyTooLarge          body_too_large
|  + TooManyRows           too_many_rows
|  + TooManyToExplain      explain_too_many_rows
|  + RangeInvalid          range_invalid        the file ends before it
|  + HeadersTooLarge       headers_too_large
|  + UriTooLong            uri_too_long
|  + RequestTimeout        request_timeout      the client kept the server waiting
|  + NotFound              not_found
|  + MethodNotAllowed      method_not_allowed
|  + HostNotAllowed        host_not_allowed
+ AccessError              who calls may not
|  + AuthRequired          auth_required        no key was sent
|  + AuthInvalid           auth_invalid         an unknown, expired or revoked key
|  + RoleDenied            role_denied          the key's role does not allow it
|  + RateLimited           rate_limited         too many failed attempts
|  + ForeignPage           csrf                 a page of another site made a browser send it
|  + HttpsRequired         https_required       a key would be sent in the clear
+ PredictionError          an honest 5xx
|  + ModelFailed           model_error          the model raised on valid input
|  + ModelContract         model_contract       the model answered with the wrong number of rows or outputs
|  + ModelNotReady         model_not_ready
|  + MemoryFull            memory_full          no memory is left for another model
|  + LoadTimeout           load_timeout         a version was not loaded and proven in time
|  + LoadCrashed           load_crashed         workers have died while they loaded a version
|  + Overloaded            overloaded
|  + PredictionTimeout     predict_timeout
|  + ExplanationFailed     explanation_failed   the model's answers to changed rows cannot be explained
|  + ExplanationTimeout    explanation_timeout  the model is too slow for the least that could be said
+ BatchError               batch_failed         a file could not be scored
|  + TableInvalid          table_invalid        the input is damaged or lacks columns of the model
|  + OutputExists          output_exists        nothing is overwritten
|  + RunDiffers            run_differs          the interrupted run at this place is another one
|  + RowRefused            row_refused          a row is at fault and none may be (--strict)
|  + WorkerLost            worker_lost          a worker process was killed
+ InternalError            internal_error       a fault of fairway itself
+ PortInUse                port_in_use
+ RemoteError              raised by the client; holds the problem document that it received
```

Every class states its code, title, status and exit code once; a constructor takes the facts and writes the
sentence. A fault is one field of one row; its code is one of `FAULT_CODES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_INTERRUPTED = 130

FAULT_CODES: dict[str, str] = {
    "feature_missing": "A required input is absent.",
    "feature_unknown": "The signature has no input of this name.",
    "value_type": "The value is of another kind than the input.",
    "value_missing": "The value is null and the input takes no missing values.",
    "value_format": "A text that should be a date and time is not one.",
    "value_too_long": "A text is longer than the limit.",
    "number_range": "The number cannot be held exactly.",
    "row_length": "An array row has another number of values than the signature has inputs.",
    "category_unknown": "The category was not seen when the signature was learnt.",
    "out_of_range": "A number or a list's length lies outside the range seen when the signature was learnt.",
    "json_nonfinite": "NaN and Infinity are not JSON.",
    "json_duplicate_key": "A key stands twice in one object.",
    "encoding_invalid": "The text holds half of a surrogate pair.",
    "json_number_range": "An integer has more digits than can be read.",
    "field_missing": "A required field of a management request is absent.",
    "field_unknown": "A management request has no field of this name.",
    "chunk_missing": "A chunk of an upload was not sent, or was cleared away since.",
    "rule_failed": "A rule of a gate does not hold.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong at one place of a request.

    Attributes:
        pointer: RFC 6901 pointer into the body as it was sent, such as `/records/3/age`.
        code: One of `FAULT_CODES`.
        message: A sentence that says what came and what was expected. Never holds another row's value.
        expected: The kind that the signature asks for, or the empty string.
        got: The kind that came, or the empty string.
    """

    pointer: str
    code: str
    message: str
    expected: str = ""
    got: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the fault as the object that stands in `errors[]` of a problem document."""
        document = {"pointer": self.pointer, "code": self.code, "message": self.message}
        if self.expected:
            document["expected"] = self.expected
        if self.got:
            document["got"] = self.got
        return document


class FairwayError(Exception):
    """Base of every error that fairway raises on purpose.

    Attributes:
        code: Stable, documented code.
        title: What the code means in a few words; the same for every instance.
        status: HTTP status on the native routes.
        exit_code: Exit code of the command line.
        detail: What happened: the thing, the value, the place.
        hint: What to do next, or the empty string.
        faults: Every fault of a request; empty for other errors.
        example: A corrected request body (JSON-serialisable), or None.
    """

    code: ClassVar[str] = "failed"
    title: ClassVar[str] = "The operation failed"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.faults: Sequence[Fault] = ()
        self.example: Any = None
        self.headers: dict[str, str] = {}

    def __str__(self) -> str:
        return self.detail


def error_of(
    code: str, detail: str, hint: str, *, below: type[FairwayError], otherwise: type[FairwayError]
) -> FairwayError:
    """Return an error that another process has told of, as an instance of its own class.

    Args:
        code: Its code.
        detail: Its detail.
        hint: Its hint.
        below: The classes that count: this one and those that derive from it.
        otherwise: The class if none of them has this code.
    """
    kinds = [below]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    found = next((kind for kind in kinds if vars(kind).get("code") == code), otherwise)
    error = found.__new__(found)  # its own constructor may make the detail of other things
    FairwayError.__init__(error, detail, hint=hint)
    return error


class SettingsError(FairwayError):
    """A setting is unknown or has a value that cannot be used."""

    code = "settings_invalid"
    title = "A setting is not valid"
    exit_code = EXIT_USAGE


class UsageError(FairwayError):
    """The arguments of a call or command do not fit together."""

    code = "usage"
    title = "The arguments do not fit"
    status = 422
    exit_code = EXIT_USAGE


class MissingExtra(FairwayError):
    """A package that this operation needs is not installed."""

    code = "extra_missing"
    title = "An optional package is not installed"
    exit_code = EXIT_USAGE

    def __init__(self, package: str, extra: str, *, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            hint=f"pip install 'fairway[{extra}]'",
        )
        self.package = package
        self.extra = extra


class BundleError(FairwayError):
    """A model file or bundle cannot be packed, opened or loaded."""

    code = "bundle_invalid"
    title = "The bundle is not valid"
    status = 422


class NameInvalid(BundleError):
    """A name is outside the grammar of names."""

    code = "name_invalid"
    title = "The name is not valid"
    exit_code = EXIT_USAGE

    def __init__(self, kind: str, name: str) -> None:
        shown = name if len(name) <= 80 else name[:77] + "..."
        super().__init__(
            f"{shown!a} is not a valid {kind} name",
            hint="use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit",
        )


class ArtifactCorrupt(BundleError):
    """A file cannot be read as what it claims to be."""

    code = "artifact_corrupt"
    title = "The file cannot be read"


class ArtifactEmpty(BundleError):
    """A file holds no bytes."""

    code = "artifact_empty"
    title = "The file is empty"


class ArtifactDigest(BundleError):
    """Bytes differ from the hash that the manifest records."""

    code = "artifact_digest"
    title = "The file is not the one that was packed"


class ArtifactPath(BundleError):
    """A member of a bundle has a name that could lead outside of it."""

    code = "artifact_path"
    title = "A file name in the bundle is not allowed"


class ArtifactImport(BundleError):
    """Loading the model needs a module that cannot be imported."""

    code = "artifact_import"
    title = "The model needs a module that is not there"


class ArtifactUnsafe(BundleError):
    """Loading the model file would construct something that is not trusted."""

    code = "artifact_unsafe"
    title = "The model file is not safe to load"
    exit_code = EXIT_REFUSED


class ArtifactUntrustedType(ArtifactUnsafe):
    """The model file needs a type that is not on the list of known ones; the user may trust it by name."""

    code = "artifact_untrusted_type"
    title = "The model file needs a type that is not trusted"


class ArtifactTypeMismatch(BundleError):
    """A file whose name promises a format that runs no code is a pickle."""

    code = "artifact_type_mismatch"
    title = "The file is not what its name says"
    exit_code = EXIT_REFUSED


class ArtifactLimit(BundleError):
    """Loading the file takes more time, memory or depth than any model needs."""

    code = "artifact_limit"
    title = "The model file is beyond the limits"
    exit_code = EXIT_REFUSED


class ArchivePath(BundleError):
    """A member of an archive has a name that could lead outside of it."""

    code = "archive_path"
    title = "A file name in the archive is not allowed"
    exit_code = EXIT_REFUSED


class ArchiveLink(BundleError):
    """A member of an archive is a link, a device or a pipe."""

    code = "archive_link"
    title = "The archive holds a link"
    exit_code = EXIT_REFUSED


class ArchiveLimit(BundleError):
    """An archive or compressed file unpacks to more than is allowed."""

    code = "archive_limit"
    title = "The archive unpacks to too much"
    status = 413
    exit_code = EXIT_REFUSED


class SourceNotAllowed(BundleError):
    """A model was named by an address; only files and folders of this machine are packed."""

    code = "source_not_allowed"
    title = "The model is not a file"
    exit_code = EXIT_USAGE


class ArtifactOutdated(BundleError):
    """The model file cannot be used with the release of its framework that is installed."""

    code = "artifact_outdated"
    title = "The model file was saved by another release"


class BundleTooNew(BundleError):
    """The bundle's format number is higher than this release reads."""

    code = "bundle_too_new"
    title = "The bundle was written by a newer fairway"


class UntrustedBundle(BundleError):
    """The bundle was packed elsewhere and nothing vouches for it."""

    code = "bundle_untrusted"
    title = "The bundle is not trusted here"
    status = 403


class NotSigned(BundleError):
    """A part of the bundle is not signed by a key that must have signed it."""

    code = "bundle_not_signed"
    title = "The bundle is not signed by a required key"
    status = 403
    exit_code = EXIT_REFUSED


class UnknownFlavor(BundleError):
    """No flavor matches the model."""

    code = "flavor_unknown"
    title = "No flavor matches the model"


class ExampleInvalid(BundleError):
    """A signature cannot be learnt from the example table."""

    code = "example_invalid"
    title = "The example table cannot be used"


class PackedModelDiffers(BundleError):
    """The packed copy does not answer the golden examples as the original did."""

    code = "packed_model_differs"
    title = "The packed model differs from the original"
    exit_code = EXIT_REFUSED


class PredictorNotProven(BundleError):
    """A predictor was asked for that no proof lets answer for this model."""

    code = "predictor_not_proven"
    title = "The predictor was not proven equal"
    exit_code = EXIT_REFUSED


class SigningError(FairwayError):
    """A key cannot be used."""

    code = "signing_failed"
    title = "The key cannot be used"
    exit_code = EXIT_USAGE


class KeyInvalid(SigningError):
    """A file is not the key that it should be, or cannot be read."""

    code = "key_invalid"
    title = "The key is not valid"


class KeyNotTrusted(SigningError):
    """The trust store holds no such key."""

    code = "key_not_trusted"
    title = "No such key is trusted"


class RegistryError(FairwayError):
    """The registry cannot do what was asked."""

    code = "registry_failed"
    title = "The registry failed"


class RegistryInvalid(RegistryError):
    """The registry's file is something else; it is left untouched."""

    code = "registry_invalid"
    title = "This is not a registry"


class SchemaNewer(RegistryError):
    """A newer fairway has migrated this registry."""

    code = "schema_newer"
    title = "The registry was written by a newer fairway"


class StoreUnavailable(RegistryError):
    """The registry's database or artifact store does not answer."""

    code = "registry_unavailable"
    title = "The registry cannot be reached"
    status = 503


class RegistryBusy(StoreUnavailable):
    """Another process held the registry's write lock for too long."""

    code = "registry_busy"
    title = "The registry is busy"


class ArtifactStoreFailed(StoreUnavailable):
    """The object store that holds the artifacts failed, after all attempts."""

    code = "artifact_store"
    title = "The artifact store failed"
    status = 502


class StorageFull(RegistryError):
    """There is no space left; nothing was registered."""

    code = "storage_full"
    title = "No space is left"
    status = 507


class ModelNotFound(RegistryError):
    """No model has this name."""

    code = "model_not_found"
    title = "There is no such model"
    status = 404

    def __init__(self, name: str, *, hint: str = "") -> None:
        super().__init__(f"there is no model {name!r}", hint=hint)
        self.name = name


class VersionNotFound(RegistryError):
    """The model has no version of this number."""

    code = "version_not_found"
    title = "There is no such version"
    status = 404

    def __init__(self, model: str, version: int, *, hint: str = "") -> None:
        super().__init__(f"there is no version {model}:{version}", hint=hint)


class AliasNotFound(RegistryError):
    """The model has no alias of this name."""

    code = "alias_not_found"
    title = "There is no such alias"
    status = 404

    def __init__(self, model: str, alias: str, *, hint: str = "") -> None:
        super().__init__(f"there is no alias {model}@{alias}", hint=hint)


class VersionExists(RegistryError):
    """A version of this number is there already; versions never change."""

    code = "version_exists"
    title = "The version exists"
    status = 409


class NothingToRollBack(RegistryError):
    """The alias has no earlier target."""

    code = "nothing_to_roll_back"
    title = "There is nothing to roll back to"
    status = 409

    def __init__(self, model: str, alias: str, *, to: int | None = None) -> None:
        target = "no earlier target" if to is None else f"no earlier target {model}:{to}"
        super().__init__(
            f"{model}@{alias} has {target} to go back to",
            hint=f"see what happened with: fairway show {model} --history",
        )


class Conflict(RegistryError):
    """Somebody else changed what this change was decided upon; nothing was changed."""

    code = "conflict"
    title = "Somebody else was faster"
    status = 409


class RegistryNotEmpty(RegistryError):
    """Something is in the registry, so a backup is not restored over it."""

    code = "registry_not_empty"
    title = "The registry is not empty"
    status = 409

    def __init__(self, n_events: int) -> None:
        super().__init__(
            f"the registry is not empty: {n_events} events are recorded in it",
            hint="restore into another home folder (--home), or into another database",
        )


class VersionLive(RegistryError):
    """An alias points to the version, so it stays."""

    code = "version_live"
    title = "The version is in use"
    status = 409


class KeyNotFound(RegistryError):
    """No API key has this id."""

    code = "key_not_found"
    title = "There is no such key"
    status = 404

    def __init__(self, key_id: str, *, hint: str = "") -> None:
        super().__init__(f"there is no API key {key_id!r}", hint=hint)


class AliasProtected(RegistryError):
    """The alias is protected: only a promotion or a rollback moves it."""

    code = "alias_protected"
    title = "The alias is protected"
    status = 409


class GateError(FairwayError):
    """A version may not go where it should go."""

    code = "gate_failed"
    title = "The gate said no"
    status = 409
    exit_code = EXIT_REFUSED


class GateRefused(GateError):
    """The version does not pass its gate; the alias stays where it is."""

    code = "gate_refused"
    title = "The version does not pass its gate"


class ApprovalMissing(GateError):
    """A second person has to approve the version first; the alias stays where it is."""

    code = "approval_missing"
    title = "A second person has to approve"


class SchemaChanged(GateError):
    """Callers of the live version would break; the alias stays where it is."""

    code = "schema_changed"
    title = "Existing callers would break"


class UploadIncomplete(RegistryError):
    """Chunks of an upload are not there; no version was made."""

    code = "upload_incomplete"
    title = "The upload is not complete"
    status = 409

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(
            f"{len(faults)} chunks of the upload are not there",
            hint="send them and register again; running the same push again does that",
        )
        self.faults = faults


class RequestError(FairwayError):
    """A request cannot be answered as it stands."""

    code = "request_invalid"
    title = "The request is not valid"
    status = 400


class MalformedRequest(RequestError):
    """The bytes of a request are not what they must be; *code* says in which way."""

    TITLES: ClassVar[dict[str, str]] = {
        "body_empty": "The body is empty",
        "json_invalid": "The body is not valid JSON",
        "json_nonfinite": "NaN and Infinity are not JSON",
        "json_too_deep": "The JSON is nested too deeply",
        "json_number_range": "A number has too many digits",
        "json_duplicate_key": "A key stands twice in one object",
        "csv_invalid": "The body is not valid CSV",
        "encoding_invalid": "The text is not valid UTF-8",
        "path_invalid": "The path is not valid",
        "query_invalid": "A query parameter is not valid",
        "chunk_limit": "The body has too many chunks",
        "header_invalid": "A header is not valid",
    }

    def __init__(self, code: str, detail: str, *, hint: str = "", faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail, hint=hint)
        self.code = code  # type: ignore[misc]  # one class carries a family of codes
        self.title = self.TITLES[code]  # type: ignore[misc]
        self.faults = faults


class BodyShape(RequestError):
    """The body is JSON but none of the forms that a request may have."""

    code = "body_shape"
    title = "The body has none of the known forms"
    status = 422

    def __init__(self, detail: str, *, pointer: str = "", hint: str = "", example: Any = None) -> None:
        super().__init__(detail, hint=hint)
        self.faults = (Fault(pointer, "body_shape", detail),)
        self.example = example


class FieldsInvalid(RequestError):
    """Fields of a management request are absent, unknown or of the wrong kind; every fault is listed."""

    code = "fields_invalid"
    title = "The fields of the request do not fit"
    status = 422

    def __init__(self, faults: Sequence[Fault]) -> None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(
            f"{faults[0].message} - at {faults[0].pointer}{more}",
            hint="the fields of every route are listed under /docs",
        )
        self.faults = faults


class SignatureMismatch(RequestError):
    """Rows do not fit the model's signature; every fault of every row is listed.

    Attributes:
        total: Number of faults found; `faults` may hold fewer.
    """

    code = "signature_mismatch"
    title = "The request does not fit the model's signature"
    status = 422

    def __init__(
        self, faults: Sequence[Fault], *, total: int | None = None, hint: str = "", example: Any = None
    ) -> None:
        self.total = len(faults) if total is None else total
        first = faults[0]
        more = f" (and {self.total - 1} more)" if self.total > 1 else ""
        place = f" - at {first.pointer}" if first.pointer else ""
        super().__init__(f"{first.message}{place}{more}", hint=hint)
        self.faults = faults
        self.example = example


class UnsupportedMediaType(RequestError):
    """The content type is none that this route reads."""

    code = "media_type"
    title = "The content type is not supported"
    status = 415


class UnsupportedEncoding(RequestError):
    """The content encoding is none that this route reads."""

    code = "content_encoding"
    title = "The content encoding is not supported"
    status = 415


class NotAcceptable(RequestError):
    """The Accept header takes none of the forms that a reply can have."""

    code = "not_acceptable"
    title = "No form of the reply is acceptable"
    status = 406


class BodyTooLarge(RequestError):
    """The body has more bytes than the limit."""

    code = "body_too_large"
    title = "The body is too large"
    status = 413

    def __init__(self, limit: int, *, hint: str = "") -> None:
        super().__init__(
            f"the body is larger than the limit of {limit} bytes",
            hint=hint or "send fewer rows per call, or raise limits.max_body_bytes",
        )


class TooManyRows(RequestError):
    """The body holds more rows than the limit."""

    code = "too_many_rows"
    title = "The body holds too many rows"
    status = 413

    def __init__(self, rows: int, limit: int) -> None:
        super().__init__(
            f"the body holds {rows} rows; the limit is {limit}",
            hint="send fewer rows per call, or raise limits.max_rows",
        )


class TooManyToExplain(RequestError):
    """The body holds more rows than are explained in one call."""

    code = "explain_too_many_rows"
    title = "Too many rows are to be explained"
    status = 413

    def __init__(self, rows: int, limit: int) -> None:
        super().__init__(
            f"the body holds {rows} rows; at most {limit} are explained in one call",
            hint="send fewer rows per call, or raise explain.max_rows",
        )


class RangeInvalid(RequestError):
    """The file ends before the range that was asked for."""

    code = "range_invalid"
    title = "The range is not there"
    status = 416


class HeadersTooLarge(RequestError):
    """The headers have more bytes, or are more, than the limits."""

    code = "headers_too_large"
    title = "The headers are too large"
    status = 431

    def __init__(self, max_bytes: int, max_headers: int) -> None:
        super().__init__(f"the headers exceed {max_bytes} bytes or {max_headers} in number")


class UriTooLong(RequestError):
    """The request target has more bytes than the limit."""

    code = "uri_too_long"
    title = "The address is too long"
    status = 414

    def __init__(self, limit: int) -> None:
        super().__init__(f"the address is longer than {limit} bytes", hint="send values in the body")


class RequestTimeout(RequestError):
    """The client did not send its request in time."""

    code = "request_timeout"
    title = "The request did not arrive in time"
    status = 408


class NotFound(RequestError):
    """There is nothing at this path."""

    code = "not_found"
    title = "There is nothing here"
    status = 404


class MethodNotAllowed(RequestError):
    """The path is right, the method is not."""

    code = "method_not_allowed"
    title = "The method is not allowed here"
    status = 405

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        names = ", ".join(allowed)
        super().__init__(f"{method} is not allowed here", hint=f"use {names}")
        self.headers = {"allow": names}


class HostNotAllowed(RequestError):
    """The Host header names a host that this server does not answer for."""

    code = "host_not_allowed"
    title = "This server does not answer for that host"
    status = 421


class AccessError(FairwayError):
    """Whoever calls may not do this."""

    code = "access_denied"
    title = "Access is denied"
    status = 403


class AuthRequired(AccessError):
    """The call needs an API key and holds none."""

    code = "auth_required"
    title = "An API key is required"
    status = 401


class AuthInvalid(AccessError):
    """The API key is unknown, expired or revoked, or it was mistyped; which of them is not told."""

    code = "auth_invalid"
    title = "The API key is not valid"
    status = 401


class RoleDenied(AccessError):
    """The API key's role does not allow this."""

    code = "role_denied"
    title = "The role does not allow this"


class RateLimited(AccessError):
    """Too many calls with invalid keys came from one address."""

    code = "rate_limited"
    title = "Too many failed attempts"
    status = 429


class ForeignPage(AccessError):
    """A browser sent this for a page of another site, or for one that was made for another session."""

    code = "csrf"
    title = "The page may not send this"


class HttpsRequired(AccessError):
    """A key would go over the network in the clear."""

    code = "https_required"
    title = "HTTPS is required"


class PredictionError(FairwayError):
    """A valid request could not be answered."""

    code = "prediction_failed"
    title = "The prediction failed"


class ModelFailed(PredictionError):
    """The model itself raised on valid input. The cause is logged, never sent."""

    code = "model_error"
    title = "The model raised an error"

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"{reference} raised an error on this input",
            hint="the server's log holds the cause under this request id",
        )


class ModelContract(PredictionError):
    """The model answered with the wrong number of rows or outputs."""

    code = "model_contract"
    title = "The model broke its contract"


class ModelNotReady(PredictionError):
    """The model is known but does not serve yet, or not any more."""

    code = "model_not_ready"
    title = "The model is not ready"
    status = 503


class MemoryFull(PredictionError):
    """No memory is left for another model; the platform that wants it may unload others."""

    code = "memory_full"
    title = "There is no memory for another model"
    status = 507


class LoadTimeout(PredictionError):
    """A version was not loaded and proven in time."""

    code = "load_timeout"
    title = "The version took too long to load"
    status = 503


class LoadCrashed(PredictionError):
    """Processes that loaded a version have died of it."""

    code = "load_crashed"
    title = "Loading the version has ended the process"
    status = 503


class Overloaded(PredictionError):
    """More calls wait than the limit allows."""

    code = "overloaded"
    title = "The server is overloaded"
    status = 503


class PredictionTimeout(PredictionError):
    """The model did not answer within the limit."""

    code = "predict_timeout"
    title = "The model took too long"
    status = 504


class ExplanationFailed(PredictionError):
    """The model's answers to changed rows are errors, or no finite numbers."""

    code = "explanation_failed"
    title = "The prediction could not be explained"


class ExplanationTimeout(PredictionError):
    """The model is too slow for the least that an explanation needs."""

    code = "explanation_timeout"
    title = "The explanation took too long"
    status = 504

    def __init__(self, budget_s: float) -> None:
        super().__init__(
            f"the model is too slow to be explained within {budget_s:.3g} s",
            hint="explain fewer rows per call, or raise explain.budget_s",
        )


class BatchError(FairwayError):
    """A file could not be scored."""

    code = "batch_failed"
    title = "The file could not be scored"


class TableInvalid(BatchError):
    """The input cannot be read, or lacks columns that the model needs."""

    code = "table_invalid"
    title = "The input table cannot be used"
    status = 422


class OutputExists(BatchError):
    """There is a file where the output or its error file would go."""

    code = "output_exists"
    title = "The output exists"
    status = 409

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} exists and is not overwritten", hint="choose another name, or give --overwrite"
        )


class RunDiffers(BatchError):
    """An interrupted run of another input, model or options lies where the output would go."""

    code = "run_differs"
    title = "The interrupted run is another one"
    status = 409

    def __init__(
        self, detail: str, *, hint: str = "give --restart to forget that run and begin anew"
    ) -> None:
        super().__init__(detail, hint=hint)


class RowRefused(BatchError):
    """A row does not fit, and the run was told to stop at the first.

    Attributes:
        error: The first line of the error file, as a dict.
    """

    code = "row_refused"
    title = "A row does not fit"
    status = 422

    def __init__(self, error: Mapping[str, Any]) -> None:
        line = f" (line {error['line']})" if "line" in error else ""
        place = f" - at {error['pointer']}" if error["pointer"] else ""
        super().__init__(
            f"row {error['row']}{line}: {error['message']}{place}",
            hint="correct it, or run without --strict: such rows then go to the error file",
        )
        self.error = error


class WorkerLost(BatchError):
    """A worker process died; what was done is kept."""

    code = "worker_lost"
    title = "A worker process died"

    def __init__(self, exit_code: int) -> None:
        how = f"killed by signal {-exit_code}" if exit_code < 0 else f"ended with {exit_code}"
        super().__init__(
            f"a worker process was {how}; the memory may be too small for all of them",
            hint="run the same command again with fewer --workers: it goes on where it stopped",
        )


class InternalError(FairwayError):
    """fairway itself failed; the log holds the cause under the request id."""

    code = "internal_error"
    title = "An internal error occurred"

    def __init__(self) -> None:
        super().__init__(
            "the server failed to answer this request", hint="the server's log holds the cause under this id"
        )


class PortInUse(FairwayError):
    """Another process listens on the address."""

    code = "port_in_use"
    title = "The port is in use"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use by another process",
            hint=f"choose another one: --port {port + 1}",
        )


class RemoteError(FairwayError):
    """A server refused or failed a call of the client.

    Attributes:
        problem: The problem document (RFC 9457) that the server sent.
        status_code: HTTP status of the reply.
    """

    code = "remote_error"
    title = "The server refused the call"

    def __init__(self, problem: dict[str, Any], status_code: int) -> None:
        super().__init__(
            str(problem.get("detail", "the server gave no reason")), hint=str(problem.get("hint", ""))
        )
        self.problem = problem
        self.status_code = status_code
        self.faults = tuple(
            Fault(
                pointer=str(fault.get("pointer", "")),
                code=str(fault.get("code", "")),
                message=str(fault.get("message", "")),
                expected=str(fault.get("expected", "")),
                got=str(fault.get("got", "")),
            )
            for fault in problem.get("errors", ())
        )


def error_codes() -> dict[str, str]:
    """Return every stable top-level code with its title, sorted by code."""
    found: dict[str, str] = dict(MalformedRequest.TITLES)
    waiting: list[type[FairwayError]] = [FairwayError]
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if "code" in vars(kind) and kind is not FairwayError:
            found[kind.code] = kind.title
    return dict(sorted(found.items()))
