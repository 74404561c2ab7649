"""Which model files may be loaded: what is trusted, the look into a file before, and the only unpickling.

What looks into files is imported when it is first needed: a server whose models are compiled never needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any

from fairway.bundle.safety.policy import POLICIES, Policy, Trust

__all__ = ["POLICIES", "Policy", "Trust", "check_files", "is_pickle", "load_pickle"]


def check_files(files: Mapping[str, bytes], trust: Trust, *, own: Collection[str] = ()) -> None:
    """Refuse files that the policy does not let anybody load; nothing of them is run to find out.

    Args:
        files: Contents by relative path.
        trust: What may be constructed.
        own: Top-level modules that travel with the model; what they define may be constructed.

    Raises:
        ArtifactUnsafe: A file would run something; names it, and what would allow it.
        BundleError: A file cannot be read, or is beyond the limits.
    """
    from fairway.bundle.safety import gate

    gate.check_files(files, trust, own=own)


def is_pickle(data: bytes) -> bool:
    """Tell whether a file is a pickle or joblib file, compressed or not; what cannot be unpacked is none."""
    from fairway.bundle.safety import gate

    return gate.is_pickle(data)


def load_pickle(
    data: bytes, trust: Trust, *, modules: Callable[[], AbstractContextManager[Collection[str]]]
) -> Any:
    """Return the object of a pickle or joblib file, compressed or not.

    Args:
        data: The file.
        trust: What may be constructed.
        modules: Opens a block in which the modules that travel with the model can be imported, and gives the
            names of the top-level ones: they are the user's own, and trusted.

    Raises:
        ArtifactCorrupt: The file is no whole pickle.
        ArtifactLimit: Unpacking or loading it would take more than any model.
        ArtifactUnsafe: The file constructs something that is not trusted; names it.
        Exception: Whatever the constructed objects raise.
    """
    from fairway.bundle.safety import pickles

    return pickles.load_pickle(data, trust, modules=modules)
