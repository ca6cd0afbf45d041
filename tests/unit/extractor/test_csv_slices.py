"""Tests slices of a real file: a late replica, a bad line, a duplicate, a missing key."""

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.caching.resource_cache import ResourceCache
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import BatchExtracted, ExtractSlice, RecordsQuarantined, SliceExtracted
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source
from loom_extractor.duplicates import Duplicates
from loom_extractor.handler import Extractor
from support.handling import outgoing_of

FILE = "id,text\n1,a\n2,b\n,nobody\n1,again\n5,too,many\n5,e\n2,again\n"


async def replica(folder):
    definition = {
        "name": "p",
        "extract": {"source": "reviews.csv", "key": "id", "batch_size": 2},
        "transform": {"type": "python", "function": "transforms:judged"},
        "load": {"destination": "y.csv"},
    }
    payloads = FolderPayloads(folder / "payloads")
    plan = await payloads.put(Plan(pipeline=parse(definition)).encoded())
    context = ConnectorContext(folder, Credentials({}))
    duplicates = Duplicates()

    async def extract(number, cursor):
        request = ExtractSlice(
            run_id="r", pipeline="p", plan=plan, epoch=1, partition=0, slice=number, cursor=cursor, max_batches=1
        )
        return await outgoing_of(extractor.read, request)

    extractor = Extractor(
        PlanCache(payloads), ResourceCache(), lambda plan: open_source(plan.pipeline.extract, context), duplicates
    )
    return extract, duplicates


async def test_every_replica_makes_the_same_of_every_slice(tmp_path):
    (tmp_path / "reviews.csv").write_text(FILE)
    early, one = await replica(tmp_path)
    late, other = await replica(tmp_path)
    async with one.closing(), other.closing():
        slices, cursor = [], None
        for number in range(4):
            slices.append((cursor, await early(number, cursor)))
            cursor = slices[-1][1][0].message.cursor
        for number in (3, 1, 0, 2):
            assert await late(number, slices[number][0]) == slices[number][1]

    everything = [each.message for _, outgoing in slices for each in outgoing]
    went_on = [record.id for each in everything if isinstance(each, BatchExtracted) for record in each.records]
    kept = [record for each in everything if isinstance(each, RecordsQuarantined) for record in each.records]
    assert went_on == ["1", "2", "5"]
    assert [(record.code, record.details["position"]) for record in kept] == [
        ("missing_key", "line 4"),
        ("duplicate_key", "line 5"),
        ("ragged_row", "line 6"),
        ("duplicate_key", "line 8"),
    ]
    assert [each.end for each in everything if isinstance(each, SliceExtracted)] == [False, False, False, True]
