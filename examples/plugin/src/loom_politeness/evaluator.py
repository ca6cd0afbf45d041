"""Implements the evaluator `politeness`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import Field

from loom.plugins import PluginEvaluator

LOOM_PLUGIN_API = 1


class Politeness(PluginEvaluator):
    """Gives the share of an output's words that are not rude."""

    rude: list[str] = Field(min_length=1, description="Words that count as rude, whatever their case.")

    def build(self) -> Callable[[dict[str, Any], dict[str, Any]], tuple[float, str | None]]:
        rude = {word.casefold() for word in self.rude}

        def score(output: dict[str, Any], _record: dict[str, Any]) -> tuple[float, str | None]:
            text = output if self.field is None else output[self.field]
            words = re.findall(r"\w+", str(text).casefold())
            found = [word for word in words if word in rude]
            if not found:
                return 1.0, None
            return 1 - len(found) / len(words), f"rude: {', '.join(found)}"

        return score
