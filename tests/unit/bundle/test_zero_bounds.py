"""A bound of zero is a bound."""

from __future__ import annotations

from fairway.bundle.signature import Input, Output, Signature


def test_a_range_that_begins_at_zero_survives_being_written() -> None:
    """0, 0.0 and False are not mistaken for what was never learnt."""
    inputs = (
        Input("share", "number", minimum=0.0, maximum=1.0, quantiles=(0.0, 0.0, 0.5, 1.0, 1.0), typical=0.0),
        Input("loss", "integer", minimum=-3, maximum=0, typical=0),
        Input("member", "boolean", typical=False),
    )
    signature = Signature(inputs=inputs, outputs=(Output("prediction", "score", "number"),))
    assert Signature.from_dict(signature.to_dict()) == signature
