"""A model behind Flask, as a careful developer writes it: loaded once, input checked, JSON out."""

import served
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
model = served.load()


@app.post("/predict")
def predict() -> tuple[Response, int]:
    """Answer `{"features": [...]}` with `{"prediction": [...]}`."""
    rows = request.get_json().get("features")
    if not isinstance(rows, list) or not all(isinstance(row, type(served.ROW)) for row in rows):
        return jsonify(error="features must be a list of rows"), 422
    if served.FORM != "texts" and any(len(row) != len(served.ROW) for row in rows):
        return jsonify(error=f"a row has {len(served.ROW)} values"), 422
    return jsonify(prediction=served.predict(model, rows)), 200
