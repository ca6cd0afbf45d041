"""Asks an embedding model for the vectors of texts, through the journal, and measures how alike two of them are.

Many texts share a call, and each has an entry of its own in the journal, so that it is priced, within the budget, and
paid for once."""

from __future__ import annotations

import importlib.util
import math
import operator
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from loom_ai.answers.embeddings import FIELD, Vectors
from loom_ai.answers.multi_record import Question, ask_together
from loom_ai.http.endpoints import Endpoint
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.keys import shared_by
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_common.domain.model_options.providers import has_embeddings
from loom_common.errors import PermanentError, RecordError

PURPOSE = "embed"
LONGEST = 20_000
"""The most characters of a text that are compared."""
_PER_CALL = 64
"""The texts that share a call."""
_VECTORS = Vectors()


@dataclass(frozen=True, slots=True)
class Compared:
    """Says how errors name what the vectors are for."""

    what: str
    """Is a subject for "cannot be found": `the nearest examples`."""
    each: str
    """Names one of the texts that are searched: `Example`."""


EXAMPLES = Compared("The nearest examples cannot be found", "Example")


class TextVectors:
    """Asks the model of one plan's step for vectors."""

    def __init__(
        self,
        models: JournalledModels,
        endpoint: Endpoint,
        reuse: Reuse,
        patience: float,
        *,
        dimensions: int | None = None,
        sealed: bool = False,
        compared: Compared = EXAMPLES,
    ) -> None:
        """`patience` is how many seconds a call may take. Raises `PermanentError` where the provider has no embeddings
        that Loom asks for."""
        if not has_embeddings(endpoint.provider):
            raise PermanentError(
                f"{endpoint.model}: Loom asks for embeddings by OpenAI's protocol, which {endpoint.provider} does not "
                "speak. Name an endpoint that does."
            )
        self.compared = compared
        self._models = models
        self._endpoint = endpoint
        self._reuse = reuse
        self._patience = patience
        self._dimensions = dimensions
        self._sealed = sealed

    @property
    def made_up(self) -> bool:
        """Tell whether answers are made up, as for an estimate."""
        return self._models.tools == "made_up"

    async def of(self, texts: Sequence[str], payers: Sequence[Payer]) -> list[Sequence[float] | RecordError]:
        """Return the vector of each text, or why it has none. Its payer's record pays for it.

        Raises what `JournalledModels.complete` raises, except `RecordError`."""
        questions = [Question(self._call(text), payer) for text, payer in zip(texts, payers, strict=True)]
        parts = await ask_together(self._models, questions, _PER_CALL, _VECTORS, self._reuse, self._patience)
        found: list[Sequence[float] | RecordError] = []
        for question, part in zip(questions, parts, strict=True):
            found.append(await self._alone(question) if part.output is None else part.output[FIELD])
        return found

    async def payer_of(self, text: str, payer: Payer) -> Payer | None:
        """Return the record that paid for the vector of a text; None where the journal does not tell. `payer` is who
        asks."""
        key = self._reuse.key(self._call(text), payer)
        for name in (shared_by(key), key):
            if (entry := await self._models.holds(name, payer, self._reuse)) is not None:
                return entry.payer
        return None

    async def _alone(self, question: Question) -> Sequence[float] | RecordError:
        """Ask for a vector that a shared call did not bring."""
        try:
            settled = await self._models.complete(question.call, question.payer, self._reuse, self._patience)
            vector: Sequence[float] = _VECTORS.read(settled.answer)[FIELD]
        except RecordError as error:
            return RecordError(
                f"{self.compared.what}: {error}",
                code=error.code,
                details={"model": self._endpoint.model, **error.details},
            )
        return vector

    def _call(self, text: str) -> ModelCall:
        """Return the call for a text; for an empty one, which providers refuse, that for a space."""
        endpoint = self._endpoint
        return ModelCall(
            provider=endpoint.provider,
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            messages=(ChatMessage("user", text[:LONGEST] or " "),),
            temperature=None,
            embedding=True,
            dimensions=self._dimensions,
            purpose=PURPOSE,
            timeout=endpoint.timeout,
            rate_limit=endpoint.rate_limit,
            concurrency=endpoint.concurrency,
            served_by=endpoint.served_by,
            extras=endpoint.extras,
            sealed=self._sealed,
        )


def normalized(vector: Sequence[float]) -> Sequence[float]:
    """Return the vector scaled to the length 1; one of zeros as it is."""
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector


def each_with_each(vectors: Sequence[Sequence[float]]) -> list[tuple[int, int, float]]:
    """Return for each two vectors of one length their places and how alike they are: the cosine of the angle between
    them, from -1 to 1."""
    rows = [array("f", normalized(vector)) for vector in vectors]
    places = combinations(range(len(rows)), 2)
    if not rows or not importlib.util.find_spec("numpy"):
        return [(one, other, rounded(sum(map(operator.mul, rows[one], rows[other])))) for one, other in places]
    import numpy as np

    matrix: Any = np.array(rows, dtype="float32")
    products = (matrix @ matrix.T).tolist()
    return [(one, other, rounded(products[one][other])) for one, other in places]


def rounded(similarity: float) -> float:
    """Return a similarity in the digits that count: further ones depend on what a processor adds up first."""
    return round(similarity, 6)
