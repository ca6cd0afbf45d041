"""Holds the text of docs/pipeline.md about the connectors that Loom brings."""

CONNECTORS = """
## Connectors

| written | system |
|---|---|
| `data/reviews.csv`, `data/*.csv`, `scores.tsv` | CSV files |
| `data/reviews.jsonl`, `data/*.ndjson` | JSON Lines files |
| `sqlite:///path/to.db?table=reviews` | SQLite |
| `postgres://${USER}:${PASSWORD}@host/database?table=reviews` | Postgres |

A file is a path, or a URL `file:///path`. The ending of its name says its format; the option `format` does so where it
does not: `options: {format: csv}` for `reviews.txt`.

A database source is read by `extract.query`, or as a whole table by `?table=`. Options are written into
`extract.options` and `load.options`; an unknown one is a mistake. [How values travel](values.md) says how each type
is carried, and which columns a table gets that Loom creates.

A destination that is also the source is refused, in whichever way it is written: through a link, by a pattern that
matches it, or as the same table of a database (unless `mode: upsert` updates its rows). A second destination that
is the same as the first is refused, too.
"""

CONNECTOR = {
    "CSV files": """
Values stay text: nothing is taken for a number or a date, and an empty field is an empty text unless `null_values`
names it. A closing quote is followed by a delimiter or a line end. A ragged row, a broken quote or bytes of another
encoding quarantine that record, with its line; the others go on. As a destination: exactly once, each batch is a part
of its own and the file is joined from them at the end. Null is an empty field, empty text is `""`. A link is followed;
permissions and owner stay. Mode `replace` (the default) or `append`, which adds bytes at the end and changes none, also
where the run failed or was cancelled: rows are written with the columns, delimiter, encoding and line ends of the
file. A file that they do not fit is refused before the run where the output is declared, else at the first batch.
""",
    "JSON Lines files": """
One object a line, read exactly: integers stay what they are, however long. A line that is no JSON object, or has a key
twice, a number of more digits than a floating-point number holds, or more than 100 levels of nesting, quarantines that
record, with its line. As a destination: like CSV.
""",
    "SQLite and Postgres": """
Read in pages by the key, so a resumed run goes on where it stood. As a destination: exactly once, the rows of a batch
and a row of the table `loom_load_ledger` are one transaction. A row that violates a constraint quarantines that record
at stage `load`; its neighbours load. Mode `upsert` (the default where records have a key), `append`, or
`replace`, which is put in place at the end of the run as a whole.
""",
}
