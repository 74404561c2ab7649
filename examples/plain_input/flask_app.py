"""The tutorial's Flask app, which one `fairway serve` replaces. Kept to compare the answers.

The tutorials load the pickle beside the script: run it in the folder that holds `model.pkl`.
"""

import joblib
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
model = joblib.load("model.pkl")


@app.route("/predict", methods=["POST"])
def predict() -> Response:
    """Answer `{"input": [...]}` with `{"prediction": ...}`."""
    data = request.get_json(force=True)
    prediction = model.predict([data["input"]])
    return jsonify({"prediction": int(prediction[0])})


if __name__ == "__main__":
    app.run(port=5000)
