"""Asks a model by HTTP: the v2 protocol of MLServer, or the OpenAI protocol of vLLM and Hugging Face's server."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from cluster.promotion.model import PromotionError, Sample, Version
from cluster.settings.model import Model

_FILL: Mapping[str, object] = {"BOOL": False, "BYTES": ""}


@dataclass(frozen=True)
class Question:
    """What a model is asked: a path under its URL, a body, and what its answer must be (None: any of the right form).

    Numbers in ``expect`` may differ by ``tolerance`` times their size.
    """

    path: str
    body: Mapping[str, Any]
    expect: Any = None
    tolerance: float = 1e-6


def question_for(model: Model, given: Mapping[str, Any] | None = None) -> Question | None:
    """Return what to ask a model: ``given`` (``request``, ``expect``), a short prompt, or None: what its inputs say.

    Raises PromotionError where ``given`` is no question.
    """
    llm = model.runtime in ("vllm", "huggingface")
    path = f"/v2/models/{model.name}/infer"
    if llm:
        path = f"{'/openai' if model.runtime == 'huggingface' else ''}/v1/completions"
    if given is not None:
        if not isinstance(given.get("request"), dict) or given.keys() - {"request", "expect", "tolerance", "path"}:
            raise PromotionError('a smoke request is {"request": {...}}, and may have expect, tolerance and path')
        return Question(
            given.get("path", path), given["request"], given.get("expect"), float(given.get("tolerance", 1e-6))
        )
    if llm:
        body = {"model": model.name, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
        return Question(path, body)
    return None


@dataclass
class HttpProbe:
    """Asks over one connection, as a client that stays does. ``ready`` is the path of its readiness.

    ``question`` None: made of the inputs that ``signature`` returns of a version, else of those that the model names.
    """

    model: str
    question: Question | None = None
    timeout_s: float = 60.0
    ready: str = "/v2/health/ready"
    signature: Callable[[Version], list[dict[str, Any]]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    _client: httpx.Client | None = None

    def knows(self, version: Version) -> bool:
        """Return whether it is known what to ask: a request was given, or the version's signature says it."""
        if self.question is None and self.signature is not None and (inputs := self.signature(version)):
            self.question = Question(f"/v2/models/{self.model}/infer", {"inputs": inputs})
        return self.question is not None

    def learns(self, url: str) -> bool:
        """Find out from the model itself; return whether it says what its inputs are."""
        try:
            self._asked(url)
        except (httpx.HTTPError, PromotionError):
            return False
        return True

    def alive(self, url: str) -> list[str]:
        """Return why a model is not ready, a sentence each."""
        try:
            with httpx.Client(timeout=self.timeout_s, headers=dict(self.headers)) as client:
                answer = client.get(url + self.ready)
        except httpx.HTTPError as error:
            return [f"{url} does not answer: {type(error).__name__}: {error}"]
        return [] if answer.status_code == 200 else [f"{url}{self.ready} answers {answer.status_code}"]

    def smoke(self, url: str) -> list[str]:
        """Ask once and return what is wrong with the answer, a sentence each."""
        try:
            question = self._asked(url)
            answer = self._post(url, question)
        except httpx.HTTPError as error:
            return [f"{url} does not answer: {type(error).__name__}: {error}"]
        if answer.status_code != 200:
            return [f"{url}{question.path} answers {answer.status_code}: {answer.text[:200]}"]
        try:
            said = answer.json()
        except ValueError:
            return [f"{url}{question.path} answers no JSON: {answer.text[:100]!r}"]
        if question.expect is not None:
            return _unlike(said, question.expect, question.tolerance)
        return _formless(said)

    def sample(self, url: str) -> Sample:
        """Ask once and measure; whatever is not status 200 is no answer."""
        try:
            question = self._asked(url)
            start = time.perf_counter()
            answer = self._post(url, question)
        except httpx.HTTPError:
            return Sample(0.0, False)
        return Sample((time.perf_counter() - start) * 1000, answer.status_code == 200)

    def _post(self, url: str, question: Question) -> httpx.Response:
        if self._client is None:
            self._client = httpx.Client(timeout=self.timeout_s, headers=dict(self.headers))
        return self._client.post(url + question.path, json=dict(question.body))

    def _asked(self, url: str) -> Question:
        if self.question is None:
            with httpx.Client(timeout=self.timeout_s, headers=dict(self.headers)) as client:
                found = client.get(f"{url}/v2/models/{self.model}")
                found.raise_for_status()
            self.question = Question(f"/v2/models/{self.model}/infer", {"inputs": _zeros(found.json())})
        return self.question


def _zeros(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row of zeros for each input that a model describes; PromotionError where it describes none."""
    inputs = described.get("inputs") or []
    if not inputs:
        raise PromotionError("the model does not say what its inputs are; give a request with --smoke FILE")
    found = []
    for each in inputs:
        shape = [1 if size is None or size < 0 else int(size) for size in each["shape"]]
        fill = _FILL.get(each["datatype"], 0)
        found.append({**each, "shape": shape, "data": [fill] * math.prod(shape)})
    return [{key: each[key] for key in ("name", "shape", "datatype", "data")} for each in found]


def _formless(said: Any) -> list[str]:
    """Return what an answer lacks: outputs with data, or choices with text."""
    if not isinstance(said, dict):
        return ["the answer is not an object"]
    outputs = said.get("outputs") or said.get("choices")
    if not isinstance(outputs, list) or not outputs:
        return [f"the answer has neither outputs nor choices: {str(said)[:200]}"]
    empty = [each for each in outputs if not (each.get("data") or each.get("text") or each.get("message"))]
    wrong = [
        value for each in outputs for value in each.get("data") or () if isinstance(value, float) and value != value
    ]
    return [f"the answer is empty: {str(said)[:200]}"] * bool(empty) + ["the answer has NaN in it"] * bool(wrong)


def _unlike(said: Any, expect: Any, tolerance: float, path: str = "answer") -> list[str]:
    """Return where an answer is not what is expected; what is not spoken of in ``expect`` may be anything."""
    if isinstance(expect, dict) and isinstance(said, dict):
        found = [f"{path}.{key} is missing" for key in expect if key not in said]
        return found + [
            each
            for key in expect.keys() & said.keys()
            for each in _unlike(said[key], expect[key], tolerance, f"{path}.{key}")
        ]
    if isinstance(expect, list) and isinstance(said, list):
        if len(said) != len(expect):
            return [f"{path} has {len(said)} items, expected were {len(expect)}"]
        pairs = enumerate(zip(said, expect, strict=True))
        return [each for index, (a, b) in pairs for each in _unlike(a, b, tolerance, f"{path}[{index}]")]
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (said, expect))
    if numbers and math.isclose(said, expect, rel_tol=tolerance, abs_tol=tolerance):
        return []
    return (
        []
        if not numbers and type(said) is type(expect) and said == expect
        else [f"{path} is {said!r}, expected was {expect!r}"]
    )
