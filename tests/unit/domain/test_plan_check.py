"""A second way in passes the same checks: what a run request brings is seen as a pipeline file is."""

import pytest

from loom_common.domain.checks.plan_check import plan_mistakes
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan


def plan(prompt, context=(), **files):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "ai", "prompt": prompt, "model": "m", "context": list(context)},
        "load": {"destination": "y.csv"},
    }
    return Plan(pipeline=parse(definition), files=files)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (plan("{{ input.text }}"), []),
        (plan("a.txt", **{"a.txt": "{{ input.text }}"}), []),
        (plan("a.txt"), ["found 'a.txt'; expected a prompt, or a file that is among the request's `files`"]),
        (plan("{{ inptu.text }}"), ["Did you mean 'input'?"]),
        (plan("{{ input.text"), ["line 1"]),
        (plan("{{ input.text }}", ["rules.md"]), ["transform.context[0]: found 'rules.md'"]),
        (plan("{{ context.rules }}", ["rules.md"], **{"rules.md": "be kind"}), []),
    ],
)
def test_what_a_request_names_must_have_come_with_it(made, words):
    found = [str(each) for each in plan_mistakes(made)]
    assert len(found) == len(words), found
    assert all(word in said for word, said in zip(words, found, strict=True)), found
