"""Provides a state file with all that the API and the console show."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from loom_common.async_engine import AsyncEngine
from loom_migrations.engine import open_engine
from support.api import application, client_of, fill_file
from support.oidc_provider import SECRET, OpenIdProvider, openid_provider


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the state file. Tests work on copies."""
    path = tmp_path_factory.mktemp("state") / "loom.db"
    asyncio.run(fill_file(path))
    return path


@pytest.fixture
async def engine(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    """Provide a copy of the state file in the working directory of the test, and in the environment the secret that
    Loom has of an OpenID provider."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THE_SECRET", SECRET)
    engine = open_engine(f"sqlite:///{shutil.copy(filled, tmp_path)}")
    yield engine
    await engine.dispose()


@pytest.fixture
async def client(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Provide a client of the API of a project with one pipeline."""
    (tmp_path / "p.yaml").write_text("name: p\nversion: '2'\nextract: {source: in.csv}\n")
    async with client_of(application(engine)) as client:
        yield client


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    """Provide an OpenID provider on this machine."""
    async with openid_provider() as provider:
        yield provider
