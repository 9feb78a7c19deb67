"""A k6 script, its load and its thresholds for a model: the performance targets of the requirement as a check.

Targets: P95 under 500 ms warm, more than 50 requests a second per GPU, cold start under 10 s, GPU utilisation above
70 %, scale-out under 2 min, pod start under 30 s. k6 judges the first two; the others are read from Prometheus by
whoever evaluates a run, and stand beside them so that there is one place for all.
"""

from __future__ import annotations

import json

from cluster.loadtest import targets
from cluster.render.inference_service import base_url, ready_url
from cluster.settings.model import Model

SECONDS = 120

SCRIPT = """\
import http from 'k6/http';
import { check } from 'k6';

const plan = JSON.parse(open('/checks/plan.json'));
export const options = {
  scenarios: { steady: plan.scenario },
  thresholds: JSON.parse(open('/checks/thresholds.json')),
};

export default function () {
  const answer = http.request(plan.method, plan.url, plan.body, { headers: { 'Content-Type': 'application/json' } });
  check(answer, { 'answered 200': (seen) => seen.status === 200 });
}
"""


def plan(model: Model) -> str:
    """Return what to ask and how often, as JSON.

    An LLM completes a short prompt. Of any other model the shape of the input is not known here, so it is asked whether
    it is ready: that measures the way to the model and not its arithmetic.
    """
    llm = model.runtime in ("vllm", "huggingface")
    prefix = "/openai" if model.runtime == "huggingface" else ""
    body = {"model": model.name, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    rate = int(_required_rate(model) * targets.HEADROOM)
    scenario = {
        "executor": "constant-arrival-rate",
        "rate": rate,
        "timeUnit": "1s",
        "duration": f"{SECONDS}s",
        "preAllocatedVUs": rate,
        "maxVUs": rate * 4,
    }
    return json.dumps(
        {
            "method": "POST" if llm else "GET",
            "url": f"{base_url(model)}{prefix}/v1/completions" if llm else ready_url(model),
            "body": json.dumps(body) if llm else None,
            "scenario": scenario,
        },
        indent=1,
        sort_keys=True,
    )


def thresholds(model: Model) -> str:
    """Return k6's thresholds as JSON: a run that misses one ends with a status that is not zero."""
    return json.dumps(
        {
            "http_req_duration": [f"p(95)<{targets.WARM_P95_MS}"],
            "http_req_failed": [f"rate<{targets.FAILED_SHARE}"],
            "http_reqs": [f"rate>{_required_rate(model)}"],
        },
        indent=1,
        sort_keys=True,
    )


def _required_rate(model: Model) -> int:
    """Requests a second that the replicas there are at least must answer."""
    return targets.required_rate(model.gpus, model.min_replicas)
