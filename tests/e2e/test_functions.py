"""Tests pipelines whose source and destination are functions of the user's."""

import json

from support.command import loom
from support.documents import ROOT, of_page
from support.projects import project

SHOP = """
import json

async def orders(count):
    for n in range(count):
        yield {"id": n, "text": f"Order {n}"}
    yield {"id": None, "text": {1}}

async def publish(rows):
    with open("published.jsonl", "a") as stream:
        stream.writelines(json.dumps(row) + "\\n" for row in rows)
    return [{"index": at, "error": "sold out"} for at, row in enumerate(rows) if row["id"] == 3]
"""


async def test_rows_go_from_one_function_to_another(tmp_path):
    made = project(tmp_path, 1)
    (made.folder / "shop.py").write_text(SHOP)
    made.say(
        params={"count": 25},
        extract={"source": "python:shop:orders", "batch_size": 4},
        load={"destination": "python:shop:publish"},
    )
    validated = await loom(made.folder, "validate", "pipeline.yaml")
    assert validated.code == 0
    assert "python:shop:publish: at least once" in validated.words

    ended = await loom(made.folder, "run", "pipeline.yaml", "--format", "json")
    assert (ended.report["records"]["loaded"], ended.report["records"]["quarantined"]) == (24, 2)
    rows = [json.loads(line) for line in (made.folder / "published.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == list(range(25))
    listed = await loom(made.folder, "quarantine", "list", "--format", "json")
    assert "sold out" in listed.out
    assert "record 26, field 'text': a value of type set has no JSON form" in listed.out

    made.say(extract={"source": "python:shop:order"})
    misnamed = await loom(made.folder, "validate", "pipeline.yaml")
    assert "Did you mean 'orders'?" in misnamed.words
    assert "Traceback" not in misnamed.out + misnamed.err


async def test_the_functions_of_the_document_run_as_they_are_printed(tmp_path):
    (written,) = (each.body for each in of_page(ROOT / "docs/connectors.md") if each.kind == "python")
    made = project(tmp_path, 1)
    (made.folder / "shop.py").write_text(written)
    made.say(
        params={"count": 20}, extract={"source": "python:shop:orders"}, load={"destination": "python:shop:publish"}
    )
    ended = await loom(made.folder, "run", "pipeline.yaml", "--format", "json")
    assert ended.report["records"]["loaded"] == 20
    assert "published 19" in ended.err
