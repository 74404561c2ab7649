"""fairway: from a trained model to a served, documented, versioned prediction.

`import fairway as fw` gives the names below. Each is loaded when it is first used, so that the import costs
no framework, no database and no server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairway import errors as errors
    from fairway.api import (
        alias,
        approve,
        audit,
        backup,
        bench,
        check,
        compile,  # noqa: A004 - the verb
        convert,
        create_key,
        create_signing_key,
        delete,
        diff,
        distrust_key,
        doctor,
        explain,
        export_versions,
        gc,
        history,
        import_versions,
        inspect,
        list_keys,
        list_models,
        live_at,
        load,
        pack,
        predict,
        promote,
        protect,
        pull,
        push,
        remove_alias,
        restore,
        revoke_key,
        rollback,
        rotate_key,
        score,
        serve,
        show,
        sign,
        trust_key,
        trusted_keys,
        tune,
        verify,
        verify_audit,
    )
    from fairway.bundle.bundle import Bundle, open_bundle
    from fairway.bundle.signature import Signature
    from fairway.client.client import Client
    from fairway.errors import FairwayError
    from fairway.registry.registry import Registry, open_registry

__all__ = [
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

_HOMES = {
    "Bundle": "fairway.bundle.bundle",
    "Client": "fairway.client.client",
    "FairwayError": "fairway.errors",
    "Registry": "fairway.registry.registry",
    "Signature": "fairway.bundle.signature",
    "open_bundle": "fairway.bundle.bundle",
    "open_registry": "fairway.registry.registry",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("fairway.errors")
    if name not in __all__:
        raise AttributeError(f"module 'fairway' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "fairway.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
