"""A definition's mistakes, and those of the files it names, are reported together."""

import pytest

from loom.definition_file import load
from loom_common.errors import InvalidDefinition


def test_a_missing_prompt_is_reported_beside_an_unknown_key(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(
        "name: p\nextract: {source: a.csv, batchsize: 3}\n"
        "transform: {type: ai, model: m, prompt: prompts/none.txt}\nload: {destination: b.csv}\n"
    )
    with pytest.raises(InvalidDefinition) as caught:
        load(file)
    assert [(problem.key, problem.line) for problem in caught.value.problems] == [
        ("extract.batchsize", 2),
        ("transform.prompt", 3),
    ]
