"""Tests that what a bench measures has a place in the table of all benches."""

from bench.figures import FIGURES
from bench.peers.environments import HERE
from bench.peers.model_bound import PEERS


def test_every_program_that_stands_beside_loom_has_a_figure_a_script_and_pinned_packages():
    measured = {name for name in FIGURES if name.startswith("peers.")}
    assert measured == {f"peers.{each}" for each in (*PEERS, "dlt", "dlt_postgres")}
    for peer in PEERS:
        assert (HERE / f"{peer}_model.py").exists()
    assert {file.stem for file in HERE.glob("*.txt")} == {*PEERS, "dlt"}
