"""The public verbs: one function each, the same that the command line calls.

Functions take plain values and a `home`; everything else comes from the settings (see `settings.py`). A verb
loads what it needs when it is called: `fairway --help` needs none of it.
"""

from __future__ import annotations

from fairway.api.access import create_key, list_keys, revoke_key, rotate_key
from fairway.api.checking import check
from fairway.api.diagnosis import Check, doctor
from fairway.api.files import convert, inspect
from fairway.api.keeping import backup, export_versions, gc, import_versions, restore
from fairway.api.lifecycle import (
    approve,
    audit,
    delete,
    diff,
    history,
    live_at,
    promote,
    protect,
    verify_audit,
)
from fairway.api.packing import compile, pack, pull, push  # noqa: A004 - the verb
from fairway.api.predicting import explain, load, predict, score
from fairway.api.serving import bench, serve, tune
from fairway.api.signing import (
    Verification,
    create_signing_key,
    distrust_key,
    sign,
    trust_key,
    trusted_keys,
    verify,
)
from fairway.api.versions import PRODUCTION, ModelView, alias, list_models, remove_alias, rollback, show

__all__ = [
    "PRODUCTION",
    "Check",
    "ModelView",
    "Verification",
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
