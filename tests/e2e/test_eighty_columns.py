"""Looks at what the command line prints in a terminal of 80 columns, which most have at least."""

from __future__ import annotations

from support.command import loom
from support.projects import project

COMMANDS = [
    "status",
    "history",
    "list",
    "manifest",
    "validate pipeline.yaml",
    "validate --connect pipeline.yaml",
    "lineage customer_sentiment_llm",
    "cost customer_sentiment_llm",
    "quarantine list",
    "quarantine stats",
    "metrics customer_sentiment_llm",
    "cache stats",
    "config show",
    "connectors",
    "connectors csv",
    "templates list",
    "plugins list",
    "state show",
]


async def test_no_table_is_wider_than_the_terminal_and_a_trial_shows_keys_and_short_values(tmp_path):
    made = project(tmp_path, 1, name="customer_sentiment_llm")
    rows = "".join(f"1_{n},{'words of a review ' * 20}{'!' * n},positive\n" for n in range(30))
    (made.folder / "reviews.csv").write_text(f"id,review,expected\n{rows}")
    made.say(
        description="Classify the sentiment of customer reviews with a language model",
        extract={"source": "reviews.csv", "key": "id"},
        evaluate={"evaluators": [{"type": "length", "field": "review", "max": 375, "threshold": 1.0}]},
        load={"destination": "results/sentiment_scores_of_a_language_model.csv"},
    )
    for arguments in ("run pipeline.yaml", "run pipeline.yaml --sample 12"):
        ended = await loom(made.folder, *arguments.split())
        assert ended.code == 0, ended.err
    too_wide = {}
    for command in COMMANDS:
        ended = await loom(made.folder, *command.split(), environ={"COLUMNS": "80"})
        assert ended.code == 0, ended.err
        if wide := [line for line in ended.out.splitlines() if len(line) > 80]:
            too_wide[command] = wide
        if command == "status":
            titles, first = ended.out.partition("Rows (")[2].splitlines()[1:3]
            assert titles.split() == ["id", "review", "expected"]
            assert (first.startswith("1_0 "), first.endswith(" positive")) == (True, True)
    assert too_wide == {}
