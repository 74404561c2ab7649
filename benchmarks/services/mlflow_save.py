"""Write the model file as an MLflow model."""

import sys

import mlflow.sklearn
import served

if __name__ == "__main__":
    mlflow.sklearn.save_model(served.load(), sys.argv[1], serialization_format="cloudpickle")
