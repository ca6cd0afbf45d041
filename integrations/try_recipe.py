"""Tries a recipe for an orchestrator: a run to its end, one whose gate fails, and one that goes on after a kill.

`python integrations/try_recipe.py dagster` (or prefect) runs in the environment that `make dagster` makes."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

HERE = Path(__file__).parent
PIPELINE = """
name: reviews
extract: {source: reviews.csv, key: id, batch_size: 5}
transform: {type: python, function: "code:scored"}
evaluate: {batch_threshold: 0.5, evaluators: [{name: fit, type: range, field: score, min: 1, threshold: 1}]}
load: {destination: scored.csv}
"""
CODE = """
import os, pathlib, time

def scored(record):
    pathlib.Path("calls.log").open("a").write(record["id"] + "\\n")
    if os.environ.get("SLOW"):
        time.sleep(0.2)
    return {"score": int(os.environ.get("SCORE", "1"))}
"""
RUN = {
    "dagster": """
        import sys; sys.path.insert(0, sys.argv[1])
        import dagster as dg, loom_asset
        done = dg.materialize([loom_asset.scored_reviews], raise_on_error=False)
        if done.success:
            [each] = done.asset_materializations_for_node("scored_reviews")
            print("RUN", each.metadata["run_id"].value, each.metadata["dagster/row_count"].value)
        sys.exit(0 if done.success else 1)
    """,
    "prefect": """
        import sys; sys.path.insert(0, sys.argv[1])
        import loom_flow
        loom_flow.run_pipeline.retries = 0
        done = loom_flow.score_reviews(return_state=True)
        if done.is_completed():
            result = done.result()
            print("RUN", result["run_id"], result["records"]["loaded"])
        sys.exit(0 if done.is_completed() else 1)
    """,
}


def main() -> None:
    """Try the recipe that is named. Raises `AssertionError` where it does something else than it promises."""
    recipe = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="loom-recipe-") as place:
        folder = Path(place)
        (folder / "loom.yaml").touch()
        (folder / "pipeline.yaml").write_text(PIPELINE)
        (folder / "code.py").write_text(CODE)
        rows = "".join(f"r{number},text\n" for number in range(40))
        (folder / "reviews.csv").write_text(f"id,review\n{rows}")

        def begun(**environ: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", textwrap.dedent(RUN[recipe]), str(HERE / recipe)]
            own = {"PREFECT_HOME": str(folder / ".prefect"), "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}
            given = {**os.environ, "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", **own, **environ}
            given.pop("DAGSTER_HOME", None)
            return subprocess.Popen(
                command, cwd=folder, env=given, stdout=subprocess.PIPE, text=True, start_new_session=True
            )

        def ended(**environ: str) -> tuple[int, list[str]]:
            process = begun(**environ)
            out, _ = process.communicate(timeout=300)
            return process.returncode, [line for line in out.splitlines() if line.startswith("RUN ")]

        code, [line] = ended()
        assert (code, line.split()[2]) == (0, "40"), (code, line)
        code, lines = ended(SCORE="0")
        assert (code, lines) == (1, []), "a run whose gate let nothing through must fail"
        (folder / "calls.log").unlink()
        process = begun(SLOW="1")
        log = folder / "calls.log"
        while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < 10):
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)  # with a server that Prefect may have started for it
        process.communicate()
        code, [line] = ended()
        assert (code, line.split()[2]) == (0, "40"), (code, line)
        done = subprocess.run(
            [sys.executable, "-m", "loom", "history", "reviews", "--format", "json"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.count('"run_id"') == 3, "the killed run must be gone on with, not started again"
    print(f"The recipe for {recipe} works: a run, a failed gate, and a run that went on after a kill.")


if __name__ == "__main__":
    main()
