"""skops files: objects as JSON and arrays, so that everything they construct is known before it is."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fairway.bundle.archive import ZIP_FAULTS, check_archive, member_names
from fairway.bundle.safety import Trust
from fairway.errors import ArtifactCorrupt, ArtifactUnsafe, MissingExtra

SKOPS = "model/model.skops"

# What skops itself does not vouch for and fitted models hold: data, and classes that compute from it. A tree
# with wrong numbers can end the process that asks it; it runs no code of the file.
_HARMLESS = frozenset(
    {
        "catboost.core.CatBoost",
        "catboost.core.CatBoostClassifier",
        "catboost.core.CatBoostRanker",
        "catboost.core.CatBoostRegressor",
        "collections.OrderedDict",
        "collections.defaultdict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRanker",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process.kernels.CompoundKernel",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.DotProduct",
        "sklearn.gaussian_process.kernels.Exponentiation",
        "sklearn.gaussian_process.kernels.ExpSineSquared",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.RationalQuadratic",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRFClassifier",
        "xgboost.sklearn.XGBRFRegressor",
        "xgboost.sklearn.XGBRanker",
        "xgboost.sklearn.XGBRegressor",
        *(
            f"sklearn.metrics._dist_metrics.{name}Distance{bits}"
            for name in ("Chebyshev", "Euclidean", "Manhattan", "Minkowski", "Hamming", "Haversine")
            for bits in ("", "32", "64")
        ),
    }
)


def is_skops(data: bytes) -> bool:
    """Tell by its first bytes and its schema whether *data* is a skops file."""
    return "schema.json" in member_names(data)


def load_skops(
    data: bytes, trust: Trust, *, modules: Callable[[], AbstractContextManager[Collection[str]]]
) -> Any:
    """Return the object of a skops file; no other loader is ever tried.

    Args:
        data: The file.
        trust: What may be constructed beside what is known to be harmless.
        modules: Opens a block in which the modules that travel with the model can be imported, and gives the
            names of the top-level ones: they are the user's own, and trusted.

    Raises:
        ArtifactCorrupt: It cannot be read.
        ArtifactUnsafe: It constructs something that is not trusted.
        MissingExtra: skops is not installed.
    """
    try:
        import skops.io
    except ModuleNotFoundError as cause:
        if (cause.name or "").split(".")[0] != "skops":  # it imports scikit-learn
            raise
        raise MissingExtra("skops", "skops", purpose="a skops file") from cause
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_archive(archive, Path("the skops file"))
        with modules() as own:
            found = skops.io.get_untrusted_types(data=data)
            refused = [name for name in found if not _is_trusted(name, trust, own)]
            if refused:
                raise ArtifactUnsafe(
                    f"the skops file constructs {', '.join(refused)}, which is not known to be harmless",
                    hint=f"if you trust it: {' '.join(f'--trust {name}' for name in refused)}",
                )
            return skops.io.loads(data, trusted=found)
    except (ImportError, AttributeError):
        raise
    except (*ZIP_FAULTS, LookupError, TypeError) as cause:
        raise ArtifactCorrupt(
            f"the skops file cannot be read ({type(cause).__name__}: {str(cause)[:200]})",
            hint="was it cut off while copying? save it again with skops.io.dump(model, path)",
        ) from cause


def _is_trusted(name: str, trust: Trust, own: Collection[str]) -> bool:
    return name in _HARMLESS or name in trust.types or name.split(".", maxsplit=1)[0] in own
