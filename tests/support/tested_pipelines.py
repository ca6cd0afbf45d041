"""Makes a project whose pipeline has tests, and a model that reads its prompt, for tests of `loom test`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from loom_ai.ports import ModelAnswer, ModelCall, Waits
from loom_ai.simulated.answers import answer_for
from support.scripted_model import answer_of

PROMPT = """Say whether the review is positive, negative or neutral. Irony is negative.

Review: {{ input.review }}
"""
PIPELINE = """name: moods
extract:
  source: reviews.csv
  key: id
transform:
  type: ai
  model: gpt-4o-mini
  prompt: prompt.txt
  max_tokens: 60
  output:
    mood: {enum: [positive, negative, neutral]}
    confidence: {type: number, minimum: 0, maximum: 1}
evaluate:
  evaluators:
    - {name: sure, type: range, field: confidence, min: 0.6, threshold: 1.0}
  quality_gate: all_pass
load:
  destination: out/moods.csv
  include: [review]
"""
TESTS = """tests:
  - name: praise
    input: {id: a, review: It is good.}
    expect: {gate: passes, exact: {mood: positive}, range: {confidence: {min: 0.9}}}
  - name: irony
    input: {id: b, review: 'So good, it broke at once.'}
    expect: {gate: passes, exact: {mood: negative}}
  - name: a fact
    input: {id: c, review: It has two cables.}
    expect: {exact: {mood: neutral}, schema: {required: [mood, confidence]}}
  - name: an unsure answer is kept back
    input: {id: d, review: Hm.}
    expect: {gate: fails, kept: {stage: evaluate, reason: sure evaluator}}
  - name: the mix of moods
    type: distributional
    expect:
      fields:
        mood:
          share: {positive: 0.5, negative: {min: 0.2, max: 0.3}}
          drift: {test: chi_square}
  - name: they arrive
    type: integration
    expect:
      records: {extracted: 8, loaded: 8}
      columns: [id, review, mood]
      unique: [id]
      cost: {max: 0.01}
      calls: 8
"""
REVIEWS = "id,review\n" + "".join(
    f"{number},{text} ({number})\n"
    for number, text in enumerate(["It is good.", "It is bad.", "It has two cables.", "It is good."] * 2, 1)
)


class ReadingModel:
    """Answers by what stands in the prompt, and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []

    def __call__(self, make: Callable[[], object]) -> ReadingModel:
        """Stand in for the client that the first call makes."""
        return self

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        self.calls.append(call)
        prompt = call.messages[0].content
        if call.purpose == "evaluate":
            return answer_of(json.dumps({**answer_for(call.schema, prompt), "score": 0.95}))
        text = json.dumps({"mood": self._mood(call, prompt), "confidence": 0.3 if "Hm." in prompt else 0.95})
        limit = call.max_tokens or 1000
        if len(text) // 4 > limit:
            return answer_of(text[: 4 * limit], "length", tokens_out=limit)
        return answer_of(text, tokens_in=len(prompt) // 4, tokens_out=len(text) // 4)

    async def close(self) -> None:
        pass

    def _mood(self, call: ModelCall, prompt: str) -> str:
        _, _, review = prompt.partition("Review: ")
        if "nano" in call.model:
            return "neutral"
        if "broke" in review and "Irony is negative" in prompt:
            return "negative"
        if "good" in review:
            return "positive"
        return "negative" if "bad" in review else "neutral"


def project(folder: Path) -> Path:
    """Write the project into a folder."""
    files = {"pipeline.yaml": PIPELINE, "prompt.txt": PROMPT, "reviews.csv": REVIEWS, "tests/moods.yaml": TESTS}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def change(file: Path, before: str, after: str) -> None:
    """Replace a text of a file, which must be there."""
    text = file.read_text()
    assert before in text, f"{file.name} does not hold {before!r}"
    file.write_text(text.replace(before, after))
