"""Keeps claims in a table beside the journal's, by the clock of Postgres."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.sql.dml import ReturningInsert

from loom_ai.journal.claims import LEASE_SECONDS, Claim
from loom_ai.journal.tables import model_claims
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncEngine

_NOW = sa.func.clock_timestamp()
_GIVEN = (
    sa.func.unnest(sa.bindparam("keys", type_=ARRAY(sa.Text)), sa.bindparam("holders", type_=ARRAY(sa.Text)))
    .table_valued("key", "holder")
    .render_derived(name="given")
)
"""Holds the claims that a statement is given. Their number changes from one time to the next; a statement that named
each would be compiled, and prepared by the server, for each number."""


def _taking() -> ReturningInsert[tuple[str]]:
    until = _NOW + sa.func.make_interval(0, 0, 0, 0, 0, 0, LEASE_SECONDS)
    given = sa.select(_GIVEN.c.key, _GIVEN.c.holder, until)
    statement = insert(model_claims).from_select(["key", "holder", "until"], given)
    mine = model_claims.c.holder == statement.excluded.holder
    return statement.on_conflict_do_update(
        index_elements=[model_claims.c.key],
        set_={"holder": statement.excluded.holder, "until": statement.excluded.until},
        where=mine | (model_claims.c.until < _NOW),
    ).returning(model_claims.c.key)


_TAKING = _taking()
_RELEASING = sa.delete(model_claims).where(model_claims.c.key == _GIVEN.c.key, model_claims.c.holder == _GIVEN.c.holder)


class SqlClaims:
    """Keeps `Claims` with an engine of its own. The migrations must have created the table."""

    def __init__(self, engine: AsyncEngine, place: str) -> None:
        self._engine = engine
        self._place = place
        self._swept = False

    async def take(self, claims: Sequence[Claim]) -> Sequence[bool]:
        # Keys are claimed in the same order everywhere, so that two replicas cannot deadlock.
        wanted = dict(sorted((claim.key, claim.holder) for claim in claims))
        with trouble("The claims", self._place, "written"):
            rows = await self._engine.fetch(_TAKING, {"keys": list(wanted), "holders": list(wanted.values())})
        taken = {row.key for row in rows}
        await self._sweep()
        return [claim.key in taken and wanted[claim.key] == claim.holder for claim in claims]

    async def release(self, claims: Sequence[Claim]) -> None:
        held = sorted((claim.key, claim.holder) for claim in claims)
        with trouble("The claims", self._place, "written"):
            await self._engine.carry_out(
                _RELEASING, {"keys": [key for key, _ in held], "holders": [holder for _, holder in held]}
            )

    async def close(self) -> None:
        await self._engine.dispose()

    async def _sweep(self) -> None:
        """Delete expired claims, once per process."""
        if not self._swept:
            self._swept = True
            with trouble("The claims", self._place, "written"):
                async with self._engine.begin() as connection:
                    locked = sa.select(model_claims.c.key).where(model_claims.c.until < _NOW)
                    gone = locked.with_for_update(skip_locked=True)
                    await connection.execute(sa.delete(model_claims).where(model_claims.c.key.in_(gone)))
