"""Trees in ONNX Runtime, with exact preprocessing on NumPy in front of them.

The model is read as for the NumPy compiler; every table of trees in it is then handed to ONNX Runtime, which
walks a forest of 100 trees for one row several times as fast. The rest stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairway.bundle.signature import Signature
from fairway.compilers.base import Compiled, NotConvertible, Read
from fairway.compilers.numpy import read_program
from fairway.compilers.program import Program, ProgramPredictor, load_program, parts_of, replace_parts
from fairway.compilers.steps.base import Part
from fairway.compilers.steps.trees import Trees
from fairway.flavors.base import Predictor


class OnnxCompiler:
    """Implement `fairway.compilers.base.Compiler` on ONNX Runtime."""

    name = "onnx"

    def compile(
        self, model: Any, signature: Signature, options: Mapping[str, Any], *, code: Mapping[str, bytes]
    ) -> Compiled:
        """Read the estimator and everything in it; hand the trees to ONNX Runtime."""
        program, precision = read_program(model, signature, options, code)
        if not any(isinstance(part, Trees) for part in parts_of(program.model)):
            raise NotConvertible("the model has no trees: ONNX Runtime would do nothing that NumPy does not")
        return Compiled(Program(replace_parts(program.model, _handed_over), program.labels).dump(), precision)

    def load(self, read: Read, signature: Signature) -> Predictor:
        """Bind the program to its signature, with one session per table of trees."""
        return ProgramPredictor(load_program(read), signature)


COMPILER = OnnxCompiler()


def _handed_over(part: Part) -> Part:
    from fairway.compilers.steps.onnx_trees import to_onnx

    return to_onnx(part) if isinstance(part, Trees) else part
