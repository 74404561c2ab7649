"""A model behind FastAPI, as its documentation teaches: a pydantic model in, a pydantic model out."""

from typing import Annotated, Any

import served
from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model

app = FastAPI()
model = served.load()


def row_type() -> Any:
    """Return the type of one row, as a developer would write it down for this model."""
    if served.FORM == "texts":
        return str
    if served.FORM == "matrix":
        return Annotated[list[float], Field(min_length=len(served.ROW), max_length=len(served.ROW))]
    fields: dict[str, Any] = {name: (type(value), ...) for name, value in served.ROW.items()}
    return create_model("Row", **fields)


Row = row_type()


class Question(BaseModel):
    """Rows to predict."""

    features: list[Row]  # type: ignore[valid-type]


class Answer(BaseModel):
    """What the model says."""

    prediction: list[float]


@app.post("/predict")
async def predict(question: Question) -> Answer:
    """Answer `{"features": [...]}` with `{"prediction": [...]}`."""
    rows = question.features
    if served.FORM == "records":
        rows = [row.model_dump() for row in rows]
    return Answer(prediction=served.predict(model, rows))
