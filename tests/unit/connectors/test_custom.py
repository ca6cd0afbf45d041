"""Tests connectors of the user's own."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DependencyUnavailable, DestinationError, SourceError
from loom_connectors.custom import DataConnector, ExtractResult, LoadResult, Record
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadBatch, Row
from loom_connectors.registry import open_destination, open_source, register_connector


class Crm(DataConnector):
    """Remembers what it was asked; answers as its class says."""

    answer: LoadResult = LoadResult(2, 0)
    page = ExtractResult([Record("1", {"id": 1})], 1, has_more=False)
    valid = True
    asked: list[Any]

    async def connect(self) -> None:
        self.asked.append("connect")

    async def disconnect(self) -> None:
        self.asked.append("disconnect")

    async def extract(self, query: str, batch_size: int = 100, cursor: str | None = None) -> ExtractResult:
        self.asked.append((query, batch_size, cursor))
        return self.page

    async def load(self, records: list[Record], destination: str) -> LoadResult:
        self.asked.append((records, destination, self.config))
        return self.answer

    async def validate_connection(self) -> bool:
        return self.valid


def connector(**answers: Any) -> type[Crm]:
    made = type("Crm", (Crm,), {"asked": [], **answers})
    register_connector("crm", made)
    return made


CONTEXT = {"env": EnvProvider({"KEY": "s3cret/"})}
BATCH = LoadBatch("run_1", "b", 0, 0, 0, [Row("r1", {"id": 1}), Row("r2", {"id": 2})])


def destination(tmp_path):
    config = LoadConfig(destination="crm://me:${KEY}@host:81/sales?table=leads", options={"pace": 3})
    return open_destination(config, ConnectorContext(tmp_path, Credentials(CONTEXT)))


async def test_it_is_connected_once_and_given_the_parts_of_its_location(tmp_path):
    crm = connector()
    opened = destination(tmp_path)
    assert (await opened.load(BATCH)).loaded == 2
    await opened.load(BATCH)
    await opened.close()
    assert [asked for asked in crm.asked if isinstance(asked, str)] == ["connect", "disconnect"]
    records, table, config = crm.asked[1]
    assert ([record.id for record in records], table) == (["r1", "r2"], "leads")
    assert records[0].metadata == {"run_id": "run_1", "batch_id": "b"}
    wanted = {"host": "host", "port": 81, "user": "me", "password": "s3cret/", "database": "sales", "pace": 3}
    assert config.items() >= wanted.items()
    assert "s3cret" not in opened.location
    assert opened.guarantee is Guarantee.AT_LEAST_ONCE


@pytest.mark.parametrize("entry", [{"record_id": "r2", "error": "no such lead"}, {"index": 1, "error": "no such lead"}])
async def test_its_errors_become_failed_rows(tmp_path, entry):
    connector(answer=LoadResult(1, 1, [entry]))
    result = await destination(tmp_path).load(BATCH)
    assert (result.loaded, result.failed) == (1, (FailedRow("r2", "refused", "no such lead"),))


@pytest.mark.parametrize(
    "answer", [LoadResult(1, 1), LoadResult(1, 0), LoadResult(1, 1, [{"record_id": "r9", "error": "who?"}])]
)
async def test_a_failure_that_names_no_record_is_not_swallowed(tmp_path, answer):
    connector(answer=answer)
    with pytest.raises(DestinationError, match="Every failed record needs an entry"):
        await destination(tmp_path).load(BATCH)


async def test_a_connection_that_is_not_valid_can_be_tried_again(tmp_path):
    connector(valid=False)
    with pytest.raises(DependencyUnavailable):
        await destination(tmp_path).check()


async def test_an_other_side_that_is_away_can_be_tried_again(tmp_path):
    async def away(self: DataConnector) -> None:
        raise ConnectionRefusedError("nobody there")

    connector(connect=away)
    with pytest.raises(DependencyUnavailable, match="nobody there"):
        await destination(tmp_path).check()


async def test_a_page_without_a_cursor_must_be_the_last(tmp_path):
    connector(page=ExtractResult([], 5, has_more=True))
    source = open_source(ExtractConfig(source="crm://leads"), ConnectorContext(tmp_path, Credentials({})))
    with pytest.raises(SourceError, match="gives no cursor"):
        await source.read(None, 10)


async def test_it_is_asked_the_query_or_else_its_location(tmp_path):
    crm = connector()
    for query in (None, "SELECT leads"):
        config = ExtractConfig(source="crm://leads", query=query)
        await open_source(config, ConnectorContext(tmp_path, Credentials({}))).read(None, 10)
    assert crm.asked[1::2] == [("crm://leads", 10, None), ("SELECT leads", 10, None)]


async def test_a_record_whose_value_has_no_json_form_is_kept_back_alone(tmp_path):
    good, odd = Record("1", {"id": 1, "d": dt.date(2024, 2, 29)}), Record("2", {"id": 2, "tags": {"a"}, 3: "x"})
    crm = connector(page=ExtractResult([good, odd, Record("3", [1])], 3, has_more=False))
    assert crm.page.total_count == 3
    page = await open_source(ExtractConfig(source="crm://host"), ConnectorContext(tmp_path, Credentials({}))).read(
        None, 9
    )
    first, second, third = page.records
    assert (first.data, first.error) == ({"id": 1, "d": "2024-02-29"}, None)
    assert second.data == {"id": 2}
    assert "id=2: field 'tags': a value of type set has no JSON form" in str(second.error)
    assert "not a dict" in str(third.error)
