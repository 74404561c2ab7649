"""How a bundle that was packed before comes into a registry: vouched for, or checked as a foreign file."""

from __future__ import annotations

from pathlib import Path

from fairway.bundle.admission import check_admitted, check_foreign, is_foreign
from fairway.bundle.bundle import Bundle
from fairway.lifecycle.compiling import Mode, compile_packed, prove_and_compile


def take_in(bundle: Bundle, home: Path, *, mode: Mode = "auto", policy: str = "allowlist") -> Bundle:
    """Return a bundle as it may be registered, with a compiled predictor as *mode* wishes.

    Where nobody vouches for it, what is attached to it is left out and made anew, and its model must pass all
    that a foreign model file must: the check of what it could construct, then the proof in a fresh process.

    Args:
        bundle: The bundle, every hash verified.
        home: The home folder that it comes to.
        mode: See `prove_and_compile`.
        policy: Setting `trust.policy`, for a bundle that nobody vouches for.

    Raises:
        UntrustedBundle: Nobody vouches for it, and its model could run code; or nobody vouches for an
            attachment.
        PackedModelDiffers: Nobody vouches for it, and it does not answer here as it did when it was packed.
        PredictorNotProven: Nothing compiled was proven, and *mode* is `require`.
    """
    if is_foreign(home, bundle):
        check_foreign(bundle, policy=policy)
        return prove_and_compile(bundle.with_attachments([]), mode=mode)
    check_admitted(home, bundle)
    return compile_packed(bundle, mode=mode)
