"""What every code means and what to do about it: the text behind the `type` of each problem document."""

from __future__ import annotations

import dataclasses

from fairway.errors import FAULT_CODES, error_codes


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """One code, explained.

    Attributes:
        code: Stable code.
        title: What it means in a few words.
        means: What happened, in full.
        remedy: What to do now.
        is_fault: Whether it stands in `errors[]`, at one place of a request, rather than at the top.
    """

    code: str
    title: str
    means: str
    remedy: str
    is_fault: bool


# One entry per code: what happened, what to do.
_TEXTS: dict[str, tuple[str, str]] = {
    "access_denied": (
        "Whoever called may not do this.",
        "Use a key whose role allows it, or ask whoever manages the keys.",
    ),
    "alias_not_found": (
        "The model is there, but no alias of this name points to one of its versions.",
        "List what there is with `fairway show MODEL`; set one with `fairway alias MODEL:VERSION ALIAS`.",
    ),
    "alias_protected": (
        "The alias is protected, so it moves by a promotion or a rollback only, never directly.",
        "Promote the version with `fairway promote`, or unprotect the alias with `fairway protect --off`.",
    ),
    "approval_missing": (
        "The rules ask for a second person: somebody other than the one who promotes has to approve.",
        "Let somebody else run `fairway approve MODEL:VERSION`, then promote again.",
    ),
    "artifact_corrupt": (
        "A file could not be read as what it claims to be: a cut download, another format, a bad disk.",
        "Fetch or write the file again. A bundle can be packed anew with `fairway pack`.",
    ),
    "artifact_digest": (
        "A file's SHA-256 is not the one that the manifest records. Nothing of it was loaded.",
        "Restore the file from a backup or push the model again. Do not edit files inside a bundle.",
    ),
    "artifact_empty": (
        "The file has no bytes. A save that was interrupted leaves such files.",
        "Save the model again and check the size of the file.",
    ),
    "artifact_import": (
        "The model needs a Python module that is not installed and does not travel in the bundle.",
        "Install the package that is named, or pack your own modules along with `--code FILE.py`.",
    ),
    "artifact_outdated": (
        "Another release of the model's framework saved the file, and the installed one cannot use it.",
        "Install the release that is named in an environment of its own and pack the model there.",
    ),
    "artifact_unsafe": (
        "Loading the model file would construct something that is not known to be harmless.",
        "Save the model in its framework's own format. If you know the file, `--trust` allows what is named.",
    ),
    "artifact_untrusted_type": (
        "The model file needs a type that is not on the list of known ones. Nothing was loaded.",
        "If you know the library, allow it: `--trust module.Class`. Your own modules travel by `--code`.",
    ),
    "artifact_store": (
        "The object store that holds the files failed or did not answer, after several attempts.",
        "Try again. Check the store, the bucket and the AWS_* variables. Served models go on answering.",
    ),
    "artifact_type_mismatch": (
        "The file is a pickle, which can run code, under a name that promises a format which cannot.",
        "If it is meant to be a pickle, give it the ending `.joblib` or `.pkl`. Else do not use it.",
    ),
    "artifact_limit": (
        "Loading the file would take more time, memory or depth than any model needs, or did so in a trial.",
        "Do not use this file unless you made it. A very large model may need a machine with more memory.",
    ),
    "archive_path": (
        "A name inside the archive could lead to a place outside of it, or stands there twice.",
        "Nothing was unpacked. Do not use this file; if you made it, pack it again with relative names.",
    ),
    "archive_link": (
        "The archive holds a link, a device or a pipe. A model is made of files.",
        "Nothing was unpacked. If you made it, pack the files themselves.",
    ),
    "archive_limit": (
        "The archive or compressed file unpacks to more than 10,000 files, 2 GiB, or 100 times its size.",
        "Do not use this file unless you made it; then save the model uncompressed.",
    ),
    "auth_invalid": (
        "The API key is unknown, mistyped, expired or revoked. Which of them is not told.",
        "Check the key that is sent. A new one is made with `fairway keys create`.",
    ),
    "auth_required": (
        "This server asks for an API key, and the call held none.",
        "Send it in the header `Authorization: Bearer fw_...`.",
    ),
    "conflict": (
        "Somebody else changed what this change was decided upon. Nothing was changed.",
        "Look at what is live now with `fairway show MODEL`, then decide again.",
    ),
    "gate_failed": (
        "A version may not go where it was to go.",
        "The detail says why.",
    ),
    "gate_refused": (
        "The version does not pass its gate, so the alias stays where it is.",
        "The detail names every rule that failed. `fairway check` runs the gate again.",
    ),
    "key_not_found": (
        "No API key has this id.",
        "List the keys with `fairway keys list`. The id is the part between the last two underscores.",
    ),
    "csrf": (
        "A browser sent this for a page of another site, or for a page that an earlier session had opened.",
        "Open the page on this server again and send the form from there. Programs send `application/json`.",
    ),
    "https_required": (
        "A key would have gone over the network in the clear, where others can read it.",
        "Put a proxy with HTTPS before the server and name it in `server.trusted_proxies`.",
    ),
    "rate_limited": (
        "Too many calls with invalid keys came from this address.",
        "Wait as long as `Retry-After` says, and send a valid key. Calls with valid keys are not affected.",
    ),
    "role_denied": (
        "The key is valid, but its role does not allow this.",
        "Use a key with the role that the detail names.",
    ),
    "rule_failed": (
        "A rule of a gate does not hold, so the alias stays where it is. `errors[]` has an entry per rule.",
        "The detail and the hint say what is asked for, and who has to run what.",
    ),
    "schema_changed": (
        "The signature of the version differs so that callers of the live version would break.",
        "See how with `fairway diff`. If the callers are ready, promote with `--allow-schema-change`.",
    ),
    "source_not_allowed": (
        "A model was named by an address. fairway packs files and folders of this machine and fetches none.",
        "Fetch the file yourself, look into it with `fairway inspect FILE`, and push the file.",
    ),
    "artifact_path": (
        "A name inside the bundle could lead to a place outside of it. Nothing was unpacked.",
        "Do not use this file. If you made it yourself, pack it again with `fairway pack`.",
    ),
    "batch_failed": (
        "A file could not be scored. What was done is kept beside the output.",
        "Put right what the message names, then run the same command again: it goes on.",
    ),
    "body_empty": (
        "The request has no body, so there is no row to predict from.",
        "Send a record as JSON. The page of the model holds a call to copy.",
    ),
    "body_shape": (
        "The body is JSON, but no record, no list of rows and no envelope with one of the known keys.",
        "Send an object with the model's inputs, a list of those, or one of the forms under API docs.",
    ),
    "body_too_large": (
        "The body has more bytes than this server reads.",
        "Send fewer rows per call. Who runs the server may raise `limits.max_body_bytes`.",
    ),
    "bundle_invalid": (
        "The bundle cannot be used: a part is absent or contradicts another.",
        "Pack the model again with `fairway pack`.",
    ),
    "bundle_not_signed": (
        "This server serves only what a certain key has signed whole; the version, or a part of it, is not.",
        "Sign it, again if it was compiled since: `fairway sign MODEL --key FILE`.",
    ),
    "bundle_too_new": (
        "The bundle was written by a release of fairway that is newer than this one.",
        "Upgrade with `pip install --upgrade fairway`.",
    ),
    "bundle_untrusted": (
        "The bundle was packed elsewhere. Opening its model would run code that nobody here vouches for.",
        "Push the model from the registry that packed it, or pack it here from its source.",
    ),
    "chunk_limit": (
        "The body came in more than 65,536 chunks; many tiny ones cost far more than their bytes.",
        "Send the body in larger chunks, or with a Content-Length.",
    ),
    "category_unknown": (
        "The value is not among the categories that the model was trained on.",
        "Check the spelling, also upper and lower case. The model's page lists the categories.",
    ),
    "content_encoding": (
        "The body is compressed in a way that this route does not read.",
        "Send the body without `Content-Encoding`.",
    ),
    "csv_invalid": (
        "The body is not CSV: a quotation mark is left open or stands inside a cell, or a name stands twice.",
        "Put cells that hold quotation marks, commas or line ends into quotation marks, and double those.",
    ),
    "encoding_invalid": (
        "The text is not valid UTF-8, or holds one half of a surrogate pair.",
        "Encode the body as UTF-8. In Python: `json.dumps(record).encode()`.",
    ),
    "example_invalid": (
        "A signature cannot be learnt from the example table: it is empty, or a column mixes kinds.",
        "Give a few dozen rows as they will arrive in production, each column of one kind.",
    ),
    "fields_invalid": (
        "A management request lacks a field, has one that the route does not know, or one of another kind.",
        "Correct what `errors` names. The fields of every route are listed under API docs.",
    ),
    "header_invalid": (
        "A header that the route reads, such as `If-Match`, holds something that it cannot mean.",
        'Send a version as `If-Match: "2"`, or `If-None-Match: *` for an alias that is not there yet.',
    ),
    "range_invalid": (
        "A part of a file was asked for that begins behind its end.",
        "Ask for the whole file; a client that goes on with a download has all of it already.",
    ),
    "upload_incomplete": (
        "A version was to be registered from chunks that were not all sent. Nothing was registered.",
        "Send the chunks that `errors` names and register again; the same `fairway push` does both.",
    ),
    "field_missing": (
        "A field that this route needs is absent.",
        "Add the field. The fields of every route are listed under API docs.",
    ),
    "field_unknown": (
        "The route has no field of this name; it is refused rather than passed over.",
        "Check the spelling. The fields of every route are listed under API docs.",
    ),
    "chunk_missing": (
        "A chunk of the upload is not in the store: it was never sent, or cleared away as left over.",
        "Send it with `PUT /api/v1/chunks/{sha256}`.",
    ),
    "explain_too_many_rows": (
        "An explanation asks the model for hundreds of rows, so only a few rows are explained in one call.",
        "Send fewer rows per call. Who runs the server may raise `explain.max_rows`.",
    ),
    "explanation_failed": (
        "To explain it the model is asked about changed rows; on one of them it failed.",
        "Ask for the prediction alone. The server's log holds the cause under the id of the request.",
    ),
    "explanation_timeout": (
        "The model takes too long for the least that an explanation needs.",
        "Explain fewer rows per call. Who runs the server may raise `explain.budget_s`.",
    ),
    "extra_missing": (
        "This needs a package that the core of fairway does not install.",
        "Run the `pip install` line that stands in the hint.",
    ),
    "feature_missing": (
        "The record lacks an input that the model requires.",
        "Add the input. The example in the reply shows a complete record.",
    ),
    "feature_unknown": (
        "The record holds a key that is not an input of the model.",
        "Check the spelling of the key, or leave it out. The reply names the closest input.",
    ),
    "flavor_unknown": (
        "No flavor knows the type of this model or the format of this file.",
        "Give the fitted model itself, or a file in a format that the hint names.",
    ),
    "headers_too_large": (
        "The headers have more than 16 KiB, or there are more than 100 of them.",
        "Send fewer or shorter headers; values for the model belong into the body.",
    ),
    "host_not_allowed": (
        "The `Host` header names an address that is not this server's. It keeps foreign web pages out.",
        "Use the address that the server printed. Who runs it may add yours to `server.allowed_hosts`.",
    ),
    "internal_error": (
        "fairway itself failed. The cause is in the server's log; it is not shown here.",
        "Report it with the request id. The same call may succeed when it is repeated.",
    ),
    "json_duplicate_key": (
        "One object holds the same key twice. Which of them was meant cannot be known.",
        "Send every key once.",
    ),
    "json_invalid": (
        "The body is not JSON. The detail names the byte at which reading stopped.",
        "Check quotes, commas and brackets. In a shell, put the whole body in single quotes.",
    ),
    "json_nonfinite": (
        "NaN, Infinity and numbers beyond float64 have no form in JSON.",
        "Send `null` for a missing value, where the input takes missing values.",
    ),
    "json_number_range": (
        "A number has more digits than can be read.",
        "Send a number that a float64 or a 64-bit integer holds.",
    ),
    "json_too_deep": (
        "Lists and objects are nested more deeply than any request needs.",
        "Send rows as flat records. The limit is `limits.max_json_depth`.",
    ),
    "key_invalid": (
        "The file is not an Ed25519 key in PEM, or its passphrase is missing or wrong.",
        "Make one with `fairway signing-key create FILE`; trust the public key, which ends in `.pub`.",
    ),
    "key_not_trusted": (
        "The trust store of this home holds no key of this name or id.",
        "List the keys with `fairway trust list`; add one with `fairway trust add FILE.pub`.",
    ),
    "media_type": (
        "The content type is one that this route does not read.",
        "Send `Content-Type: application/json`.",
    ),
    "method_not_allowed": (
        "The address exists, but not for this method.",
        "Use a method of the `Allow` header. Predictions are asked for with POST.",
    ),
    "model_contract": (
        "The model answered with another number of rows or outputs than it was asked for.",
        "This is a fault of the model. Tell who made it, and roll back: `fairway rollback MODEL`.",
    ),
    "memory_full": (
        "As many models are loaded as may be, or as memory holds.",
        "Unload one that is not needed; a multi-model endpoint does so by itself and tries again.",
    ),
    "model_error": (
        "The request was valid, but the model raised an error on it.",
        "Tell who made the model, with the request id. The log of the server holds the cause.",
    ),
    "model_not_found": (
        "No model of this name is served or registered here.",
        "The list of models shows what there is. Check the spelling.",
    ),
    "load_crashed": (
        "Two workers have died while they loaded this version; it does not serve, and is not tried again.",
        "Load it on its own to see why: `fairway predict MODEL:VERSION`. Then point the alias elsewhere.",
    ),
    "load_timeout": (
        "A version was not loaded and proven within `server.load_timeout_s`; it does not serve.",
        "Move the alias again to have it tried again. Raise the setting if so long is to be expected.",
    ),
    "not_acceptable": (
        "The `Accept` header takes none of the forms that this route can answer in.",
        "Ask for `application/json`, `application/jsonlines` or `text/csv`, or leave the header out.",
    ),
    "model_not_ready": (
        "The model is known but does not answer yet, or not any more.",
        "Try again shortly. `GET /health` says what is amiss.",
    ),
    "name_invalid": (
        "The name breaks the grammar of names.",
        "Use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning and ending with a letter or digit.",
    ),
    "not_found": (
        "There is nothing at this address.",
        "Go to the list of models or to the API docs and start from there.",
    ),
    "nothing_to_roll_back": (
        "The alias has had no earlier target, so there is nothing to go back to.",
        "Look at `fairway show MODEL --history`, or name the version: `fairway alias MODEL:VERSION ALIAS`.",
    ),
    "number_range": (
        "The number cannot be held exactly, and rounding it would change what was sent.",
        "Send an integer below 2^53, or a number with a decimal point.",
    ),
    "out_of_range": (
        "A number or a list's length lies outside what training saw; by policy it is refused or flagged.",
        "Check the unit and the decimal point. The model's page shows the range.",
    ),
    "output_exists": (
        "There is a file where the output of `fairway score`, or its error file, would go.",
        "Choose another name, or give `--overwrite`.",
    ),
    "overloaded": (
        "More calls wait than the server accepts.",
        "Try again after the time in `Retry-After`, and send rows together in one call.",
    ),
    "packed_model_differs": (
        "Loaded in a fresh process, the packed copy answers otherwise. Nothing was registered.",
        "Look for state outside of the model: global variables, random numbers, files, other versions.",
    ),
    "path_invalid": (
        "The path holds bytes or a model reference that cannot be read.",
        "Write `MODEL`, `MODEL:VERSION` or `MODEL@ALIAS` and percent-encode everything else.",
    ),
    "port_in_use": (
        "Another process listens on this port.",
        "Stop it, or choose another port with `--port`.",
    ),
    "predict_timeout": (
        "The model did not answer within the limit of this server.",
        "Send fewer rows per call. Who runs the server may raise `limits.predict_timeout_s`.",
    ),
    "prediction_failed": (
        "A valid request could not be answered.",
        "Try again; the log of the server holds the cause under the request id.",
    ),
    "predictor_not_proven": (
        "A compiled predictor was asked for, and no proof says that it answers as the original model does.",
        "See why with `fairway compile MODEL`. With `--predictor auto` the original answers instead.",
    ),
    "query_invalid": (
        "A query parameter is unknown or has a value that it cannot have.",
        "`include` takes `probabilities` and `flags`, separated by a comma.",
    ),
    "registry_busy": (
        "Another process held the registry's write lock for too long.",
        "Try again. Predictions are not affected.",
    ),
    "registry_failed": (
        "The registry could not do what was asked.",
        "The detail says why. `fairway doctor` checks the registry.",
    ),
    "registry_invalid": (
        "The file at the registry's place is not a registry. It was left as it is.",
        "Check `FAIRWAY_HOME`, or move the file away.",
    ),
    "registry_not_empty": (
        "A backup is restored into an empty registry only, and something has happened in this one.",
        "Restore into another home folder with `--home`, or into another database.",
    ),
    "registry_unavailable": (
        "The registry's database or files cannot be reached.",
        "Try again. `fairway doctor` says what is amiss. Models that are served go on answering.",
    ),
    "remote_error": (
        "A server that the client called refused or failed the call.",
        "Read the problem document that the error carries.",
    ),
    "request_invalid": (
        "The request cannot be answered as it stands.",
        "The detail says why.",
    ),
    "row_refused": (
        "A row of the input does not fit, and `--strict` asked to stop at the first. There is no output.",
        "Correct the row, or run without `--strict`: such rows then go to the error file.",
    ),
    "run_differs": (
        "Where the output would go lies an interrupted run of another input, model or other options.",
        "Run that command again to go on with it, or give `--restart` to forget it.",
    ),
    "row_length": (
        "A row that is an array has another number of values than the model has inputs.",
        "Send the values in the order of the signature, or send objects with named inputs.",
    ),
    "request_timeout": (
        "Headers may take 10 seconds; a body may pause for 10, take 60, and must bring 1 KiB per second.",
        "Send the request in one go. On a slow link send fewer rows per call.",
    ),
    "schema_newer": (
        "A newer release of fairway has migrated this registry. Nothing was written.",
        "Upgrade with `pip install --upgrade fairway`.",
    ),
    "settings_invalid": (
        "A setting is unknown or has a value that cannot be used.",
        "`fairway settings` shows every setting, its value and where it came from.",
    ),
    "signature_mismatch": (
        "A row does not fit the model's signature. Every fault is listed; nothing was predicted.",
        "Correct the places that `errors` points to. The reply holds a corrected example.",
    ),
    "signing_failed": (
        "A key could not be used.",
        "The detail says why. `fairway signing-key create FILE` makes a new one.",
    ),
    "storage_full": (
        "There is no space left on the disk. Nothing was registered.",
        "Make space and push again.",
    ),
    "table_invalid": (
        "A file that was to be scored cannot be read, or lacks columns that the model needs.",
        "Give each input a column of its name; the message lists what is absent and what was found.",
    ),
    "too_many_rows": (
        "The call holds more rows than one call may.",
        "Send the rows in several calls. The limit is `limits.max_rows`.",
    ),
    "uri_too_long": (
        "The address has more than 32 KiB.",
        "Send values in the body, not in the address.",
    ),
    "usage": (
        "The arguments of a call or command do not fit together.",
        "The hint says how; every command has `--help`.",
    ),
    "value_format": (
        "A text that should be a date and time is not one, or names a day that does not exist.",
        "Write it like `2026-02-28T13:45:00`; an offset such as `+01:00` may follow.",
    ),
    "value_missing": (
        "The value is null, and the input takes no missing values.",
        "Send a value. The input was never empty in training, so the model cannot know what that means.",
    ),
    "value_too_long": (
        "A text is longer than this server reads.",
        "Shorten it. The limit is `limits.max_text_chars`.",
    ),
    "value_type": (
        "The value is of another kind than the input: a text for a number, a fraction for a whole number.",
        "Send numbers without quotes, `true` or `false` for booleans, and arrays for lists.",
    ),
    "version_exists": (
        "A version of this number is registered already, and versions never change.",
        "Push without a number: the registry gives the next one.",
    ),
    "version_live": (
        "An alias points to the version, so it cannot be deleted.",
        "Move the alias first, with `fairway promote`, `fairway rollback` or `fairway alias`.",
    ),
    "version_not_found": (
        "The model is there, but not this version of it.",
        "`fairway show MODEL` lists its versions.",
    ),
    "worker_lost": (
        "A process of `fairway score` was killed, most often because the memory was not enough.",
        "Run the same command again with fewer `--workers`: it goes on where it stopped.",
    ),
}

_UNWRITTEN = ("This release has no page for the code yet.", "The detail and the hint of the reply say more.")


def explained_codes() -> frozenset[str]:
    """Return the codes that have a text of their own."""
    return frozenset(_TEXTS)


def explanations() -> list[Explanation]:
    """Return every code with its explanation: those of replies first, then those of single faults."""
    tops = [_explanation(code, title, is_fault=False) for code, title in error_codes().items()]
    known = error_codes()
    faults = [
        _explanation(code, title.rstrip("."), is_fault=True)
        for code, title in sorted(FAULT_CODES.items())
        if code not in known
    ]
    return tops + faults


def explanation(code: str) -> Explanation | None:
    """Return what *code* means, or None if there is no such code."""
    return next((entry for entry in explanations() if entry.code == code), None)


def _explanation(code: str, title: str, *, is_fault: bool) -> Explanation:
    means, remedy = _TEXTS.get(code, _UNWRITTEN)
    return Explanation(code, title, means, remedy, is_fault)
