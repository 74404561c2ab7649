"""The native dialect on the routes whose calls are for an explanation: only what a call asks for differs."""

from __future__ import annotations

from fairway.messages import Call, Target
from fairway.protocols.native import NativeProtocol
from fairway.protocols.query import read_wish


class ExplainProtocol(NativeProtocol):
    """Implement `fairway.protocols.base.Dialect` for `/explain` and `/models/{ref}/explain`.

    Bodies and replies are those of the native dialect, whose readers it shares; an explanation is added to
    every prediction.
    """

    def open(self, call: Call) -> Target:
        """Read the reference from the path, and from the query what is to be explained."""
        self.accept(call)
        include, wish = read_wish(call.query)
        reference = call.path[len("/models/") : -len("/explain")] if call.path.startswith("/models/") else ""
        target = Target(call, reference, include | {"explanation"})
        target.explain = wish
        return target
