"""The iris model behind Flask, as a careful developer writes it: loaded once, input checked, JSON out."""

import os

import joblib
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
model = joblib.load(os.environ["BENCH_MODEL"])


@app.post("/predict")
def predict() -> tuple[Response, int]:
    """Answer `{"features": [...]}` with `{"prediction": [...]}`."""
    features = request.get_json().get("features")
    if not isinstance(features, list) or len(features) != model.n_features_in_:
        return jsonify(error=f"features must be a list of {model.n_features_in_} numbers"), 422
    return jsonify(prediction=model.predict([features]).tolist()), 200
