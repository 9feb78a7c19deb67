"""Runs in the servers' environment, which has scikit-learn: a small model, its files, and what it says of the test set.

python train.py FOLDER SEED          writes FOLDER/model.joblib, prints {"inputs": [[...]], "expected": [...]}
python train.py --log NAME SEED      logs and registers it with MLflow instead
"""

import json
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split


def main(words: list[str]) -> None:
    features, labels = load_iris(return_X_y=True)
    seed = int(words[-1])
    known, asked, answers, _ = train_test_split(features, labels, test_size=20, random_state=seed)
    model = LogisticRegression(max_iter=500).fit(known, answers)
    told = {"inputs": asked.tolist(), "expected": model.predict(asked).tolist()}
    if words[0] == "--log":
        import mlflow

        mlflow.set_experiment("iris")
        with mlflow.start_run() as run:
            mlflow.log_metric("accuracy", float(model.score(known, answers)))
            takes = mlflow.models.infer_signature(known, answers)
            logged = mlflow.sklearn.log_model(model, name="model", signature=takes, registered_model_name=words[1])
        told |= {"run": run.info.run_id, "version": logged.registered_model_version}
    else:
        Path(words[0]).mkdir(parents=True, exist_ok=True)
        joblib.dump(model, Path(words[0]) / "model.joblib")
    print(json.dumps(told))


main(sys.argv[1:])
