"""Train and pickle a model exactly as the Flask tutorials do.

Writes `model.pkl` and the table it was trained on to `build/`. Nothing here knows fairway.
"""

import argparse
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser(description="Train and pickle a model as the Flask tutorials do.")
parser.add_argument("--output", type=Path, default=Path("build"), help="folder to write to")
output = parser.parse_args().output
output.mkdir(parents=True, exist_ok=True)

X, y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)

model = RandomForestClassifier(n_estimators=100, random_state=42)
model.fit(X_train, y_train)
print(f"accuracy: {model.score(X_test, y_test):.3f}")

joblib.dump(model, output / "model.pkl")
np.savetxt(
    output / "train.csv",
    X_train,
    delimiter=",",
    fmt="%g",
    header="sepal_length,sepal_width,petal_length,petal_width",
    comments="",
)
print(f"wrote {output / 'model.pkl'} and {output / 'train.csv'}")
