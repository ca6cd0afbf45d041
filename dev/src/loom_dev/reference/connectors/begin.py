"""Holds the beginning of docs/connectors.md: what can be read and written, and what a source is split into."""

CONNECTORS = """
# Connectors

What a pipeline reads and writes: how each source and destination is written in `extract.source` and `load.destination`
of the [pipeline file](pipeline.md), and its options.

| written | system |
|---|---|
| `data/reviews.csv`, `data/*.csv`, `scores.tsv` | CSV files |
| `data/reviews.jsonl`, `data/*.ndjson` | JSON Lines files |
| `data/reviews.json` | JSON files that are one array |
| `data/reviews.parquet` | Parquet files (extra `arrow`) |
| `data/reviews.arrow`, `data/reviews.feather` | Arrow files, which are Feather files of version 2 (extra `arrow`) |
| `data/reviews.xlsx` | Excel workbooks (extra `excel`) |
| `data/reviews.yaml`, `data/reviews.toml` | YAML and TOML files, only as sources |
| `data/reviews.csv.gz`, `.zst`, `.bz2` | compressed files of text |
| `s3://bucket/folder/*.parquet`, `gs://...`, `az://...` | objects of a bucket (extra `objects`) |
| `https://host/reviews.csv` | a file of a web server, only as a source |
| `sqlite:///path/to.db?table=reviews` | SQLite |
| `duckdb:///path/to.duckdb?table=reviews` | DuckDB (extra `duckdb`) |
| `postgres://${USER}:${PASSWORD}@host/database?table=reviews` | Postgres |
| `mysql://${USER}:${PASSWORD}@host/database?table=reviews`, `mariadb://...` | MySQL, MariaDB (extra `mysql`) |
| `mssql://${USER}:${PASSWORD}@host/database?table=reviews` | Microsoft SQL Server (extra `mssql`) |
| `snowflake://${USER}:${PASSWORD}@account/db/schema?warehouse=wh&table=reviews` | Snowflake (extra `snowflake`) |
| `bigquery://project/dataset?table=reviews` | BigQuery (extra `bigquery`) |
| `amqp://${USER}:${PASSWORD}@host/vhost?queue=reviews` | a queue of RabbitMQ, as a source |
| `amqp://${USER}:${PASSWORD}@host/vhost?exchange=scores` | an exchange of RabbitMQ, as a destination |
| `redis://${USER}:${PASSWORD}@host/0?stream=reviews&group=triage` | a stream of Redis, as a source |
| `kafka://${USER}:${PASSWORD}@one:9092,two:9092/reviews?group=triage` | a topic of Kafka, a source (extra `kafka`) |
| `api://reviews` | records that are given to a stream over HTTP, as a source |
| `python:shop:orders` | a function of your own, as a source or a destination |
| `rest+https://host/v1/orders` | a REST API that speaks JSON |

A file is a path, or a URL `file:///path`. The ending of its name says its format; the option `format` does so where it
does not: `options: {format: csv}` for `reviews.txt`. Every format lies in every storage. [Extras](installing.md#extras)
are installed where the extractors and loaders run; an error names the one that is missing.

A pattern (`*`, `**`, `?`, `[ab]`) names several files, and so does a folder, which needs the option `format`: all files
below it, but those whose names begin with a point or an underscore. They are read in the order of their names. Folders
that are named `day=2024-01-01`, as Hive and Spark write them, are fields of the records, as text, unless the file has
such a field itself; `partitions: false` leaves them out. `loom connectors` lists all storages, formats and databases
that can be used here, with their options.

`https://` names a file of a web server, and `rest+https://` an API whose answers are read page by page.

A database source is read by `extract.query`, or as a whole table by `?table=`. Options are written into
`extract.options` and `load.options`; an unknown one is a mistake. [How values travel](values.md) says how each type
is carried, and which columns a table gets that Loom creates.

A destination that is also the source is refused, in whichever way it is written: through a link, by a pattern that
matches it, or as the same table of a database (unless `mode: upsert` updates its rows). A second destination that
is the same as the first is refused, too, and so is a destination that is the pipeline file, its prompt or one of its
context files.

## Partitions of a source

A large source is read in several places at the same time: it is split into pieces, each of which is a *partition* of
the run. Slices of one partition follow one another; slices of several are read by as many extractors as there are.

- *CSV and JSON Lines* are split into ranges of bytes that begin where a record does. A file remains one piece where
  that cannot be told for certain: CSV with a quote where none should stand, with an `escapechar`, with a record of
  more than 8 MB, or in an encoding such as GBK; lines that end in a carriage return alone; UTF-16 and UTF-32. So does
  one that is compressed, and, unless a number is given, one that does not lie on this machine, because it is read
  through to be split.
- *Parquet* is split into groups of rows. Several files, of whatever format, are also split between them.
- *Postgres* is split into ranges of the first column of `extract.key`, found by a sample of the table; without a key,
  into ranges of blocks. A query or a view is split where its first key is a whole number.
- *SQLite* is split into ranges of the first column of `extract.key`, or of rowids. A key that is a number in one row
  and text in another keeps it together, as does a query whose first key is no whole number.
- *A plugin's source* is split as its method `split` says, and is one piece without it.

`extract.partitions` says how many pieces there may be, at most 64. With `auto` there is one for every 32 MB of files
and blocks, and for every 100,000 rows that the database expects, 8 at most; and there is one in an embedded run and in
a trial (`--sample`). A file with `extract.key` remains one piece under `auto`: whether a key stood before is known only
once the pieces before are read, so each extractor reads their keys first.

The source is split once, when the run begins; a resume keeps the pieces. Records have the same ids and positions in
several partitions as in one (a line number counts from the beginning of the file), and a file that is written has them
in the order of the source. A database gets the pieces as they come.
"""
