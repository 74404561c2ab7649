"""Tests of the frameworks that have an environment of their own; elsewhere there is nothing to collect."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]

# As a user of Keras without TensorFlow sets it, before anything imports Keras.
os.environ["KERAS_BACKEND"] = "torch"

# The tests import what stands there as a user's training script imports its own modules.
sys.path.insert(0, str(Path(__file__).parent / "models"))
