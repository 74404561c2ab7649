"""Which model files may be loaded: what is trusted, the look into a file before, and the only unpickling."""

from fairway.bundle.safety.gate import check_files, is_pickle, load_pickle
from fairway.bundle.safety.policy import POLICIES, Policy, Trust

__all__ = ["POLICIES", "Policy", "Trust", "check_files", "is_pickle", "load_pickle"]
