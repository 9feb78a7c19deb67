"""What Prometheus makes of the alerts of models with a standby: promtool runs the rules over made-up series."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.render import alert_rules

MODEL, STANDBY, OTHER = "assistant-predictor", "assistant-standby-predictor", "classifier-predictor"


def firing(folder: Path, ready: dict[str, int | None]) -> set[str]:
    """Return which alerts fire after 20 minutes; ``ready``: deployment -> ready pods, None: it is not there."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(alert_rules.rules("")["models"]))
    series = [
        {"series": f'kube_deployment_{metric}{{namespace="models", deployment="{name}"}}', "values": f"{value}x60"}
        for name, pods in ready.items()
        if pods is not None
        for metric, value in (("spec_replicas", 1), ("status_replicas_available", pods))
    ]
    names = [rule["alert"] for rule in alert_rules.rules("")["models"]["groups"][0]["rules"]]
    # promtool tells only what it did not expect: an alert that is expected not to fire, and does, is named
    cases = [{"eval_time": "20m", "alertname": name, "exp_alerts": []} for name in names]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": cases}
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    command = ["promtool", "test", "rules", "test.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    found = set(re.findall(r"alertname: ?(\w+)", said))
    assert bool(found) == bool(done.returncode), said
    return found


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool on PATH (package prometheus)")
@pytest.mark.parametrize(
    ("ready", "alerts"),
    [
        pytest.param({MODEL: 1, STANDBY: 1, OTHER: 1}, set(), id="all-well"),
        pytest.param({MODEL: 0, STANDBY: 1, OTHER: 1}, {"ModelDegraded"}, id="standby-answers"),
        pytest.param({MODEL: None, STANDBY: 1, OTHER: 1}, {"ModelDegraded"}, id="standby-answers-for-one-that-is-gone"),
        pytest.param({MODEL: 1, STANDBY: 0, OTHER: 1}, {"ModelStandbyDown"}, id="standby-down"),
        pytest.param({MODEL: 0, STANDBY: 0, OTHER: 1}, {"ModelNotServing", "ModelStandbyDown"}, id="both-down"),
        pytest.param({MODEL: 1, STANDBY: 1, OTHER: 0}, {"ModelNotServing"}, id="another-down"),
        pytest.param({MODEL: 1, OTHER: 1}, set(), id="well-without-standby"),
        pytest.param({MODEL: 0}, {"ModelNotServing"}, id="down-without-standby"),
    ],
)
def test_who_answers_for_a_model_is_what_the_alerts_say(
    tmp_path: Path, ready: dict[str, int | None], alerts: set[str]
) -> None:
    assert firing(tmp_path, ready) == alerts
