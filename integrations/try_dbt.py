"""Tries the package for dbt: with DuckDB, which reads Loom's state in SQLite and a Parquet file, and with Postgres,
which has both the state and the destination.

`python integrations/try_dbt.py` runs in the environment of `make dev`; dbt is in that of `make dbt`."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from loom_dev.backends.postgres import Postgres

HERE = Path(__file__).parent
ROOT = HERE.parent
LOOM = Path(sys.executable).with_name("loom")
DBT = ROOT / ".integrations" / "dbt" / "bin" / "dbt"
SECONDS = 300
COUNTS = "select outcome, evaluation_passed, count(*) as records from {{ ref('loom_reviews') }} group by 1, 2"


def main() -> None:
    """Try both. Raises `AssertionError` where something else happens than is promised."""
    with tempfile.TemporaryDirectory(prefix="loom-dbt-") as place:
        folder = Path(place)
        tried(folder / "duckdb", "duckdb", "results/sentiment.parquet", {})
        print(
            "- DuckDB, over the state in SQLite and a Parquet file: dbt build, and the counts of the report", flush=True
        )
    server = Postgres().start()
    try:
        with tempfile.TemporaryDirectory(prefix="loom-dbt-") as place:
            url = urlsplit(server.url)
            own = {
                "PGHOST": "127.0.0.1", "PGPORT": str(url.port), "PGUSER": str(url.username),
                "PGPASSWORD": str(url.password), "PGDATABASE": url.path.lstrip("/"), "LOOM_STATE_URL": server.url,
                "RESULTS_URL": f"{server.url}?table=sentiment",
            }  # fmt: skip
            tried(Path(place) / "postgres", "postgres", "${RESULTS_URL}", own)
    finally:
        server.close()
    print("- Postgres, over the state and the destination in it: dbt build, and the counts of the report", flush=True)
    print("The package for dbt works on DuckDB and on Postgres.")


def tried(folder: Path, target: str, destination: str, own: dict[str, str]) -> None:
    """Run the example pipeline and build the example project over what it did, before and after a replay."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LOOM_", "DBT_", "PG"))}
    environ |= {"DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", **own}
    folder.mkdir()
    ran(folder, environ, LOOM, "init", "reviews", "--template", "sentiment")
    project = folder / "reviews"
    pipeline = project / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("results/sentiment.csv", destination))
    report = json.loads(ran(project, environ, LOOM, "run", "pipeline.yaml", "--format", "json"))
    ran(project, environ, LOOM, "run", "pipeline.yaml", "--sample", "3")  # a trial is in no view
    for name in ("loom", "example"):
        shutil.copytree(HERE / "dbt" / name, folder / name)
    environ |= {"LOOM_STATE_FILE": str(project / ".loom" / "loom.db"), "LOOM_RESULTS": str(project / destination)}
    example = folder / "example"
    dbt(example, environ, target, "deps")
    dbt(example, environ, target, "build")
    records = report["records"]
    expected = {("loaded", True): records["loaded"], ("rejected", False): records["rejected"]}
    assert counts(example, environ, target) == expected, (counts(example, environ, target), expected)
    kept = json.loads(ran(project, environ, LOOM, "quarantine", "list", "--format", "json"))
    first = min(each["record_id"] for each in (kept["records"] if isinstance(kept, dict) else kept))
    edit = ("--edit", "expected=neutral")
    ran(project, environ, LOOM, "quarantine", "retry", report["run_id"], "--record-ids", first, *edit)
    dbt(example, environ, target, "build")
    expected = {("loaded", True): records["loaded"] + 1, ("rejected", False): records["rejected"] - 1}
    assert counts(example, environ, target) == expected, (counts(example, environ, target), expected)


def counts(example: Path, environ: dict[str, str], target: str) -> dict[tuple[str, bool], int]:
    """Return how many rows the view has of each end."""
    said = dbt(example, environ, target, "show", "--inline", COUNTS, "--output", "json", "--quiet")
    shown = json.loads(said[said.index("{") :])["show"]
    return {(each["outcome"], each["evaluation_passed"]): each["records"] for each in shown}


def dbt(example: Path, environ: dict[str, str], target: str, *words: str) -> str:
    """Return what a command of dbt prints."""
    return ran(example, environ, DBT, "--no-use-colors", *words, "--target", target, "--profiles-dir", ".")


def ran(where: Path, environ: dict[str, str], *words: object) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        list(map(str, words)), cwd=where, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


if __name__ == "__main__":
    main()
