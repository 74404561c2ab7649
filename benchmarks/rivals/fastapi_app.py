"""The iris model behind FastAPI, as its documentation teaches: a pydantic model in, a pydantic model out."""

import os
from typing import Annotated

import joblib
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()
model = joblib.load(os.environ["BENCH_MODEL"])


class Flower(BaseModel):
    """One row."""

    features: Annotated[list[float], Field(min_length=4, max_length=4)]


class Answer(BaseModel):
    """What the model says."""

    prediction: list[int]


@app.post("/predict")
async def predict(flower: Flower) -> Answer:
    """Answer `{"features": [...]}` with `{"prediction": [...]}`."""
    return Answer(prediction=model.predict([flower.features]).tolist())
