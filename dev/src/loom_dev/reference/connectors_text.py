"""Holds the text of docs/connectors.md about the connectors that Loom brings."""

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

CONNECTOR = {
    "CSV files": """
Values stay text: nothing is taken for a number or a date, and an empty field is an empty text unless `null_values`
names it. A closing quote is followed by a delimiter or a line end. A ragged row, a broken quote or bytes of another
encoding quarantine that record, with its line; the others go on. As a destination: exactly once, each batch is a part
of its own and the file is joined from them at the end. Null is an empty field, empty text is `""`. A link is followed;
permissions and owner stay. Mode `replace` (the default) or `append`, which adds bytes at the end and changes none, also
where the run failed or was cancelled: rows are written with the columns, delimiter, encoding and line ends of the file.
A file that they do not fit is refused before the run where the output is declared, else at the first batch.
""",
    "JSON Lines files": """
One object a line, read exactly: integers stay what they are, however long. A line that is no JSON object, or has a key
twice, a number of more digits than a floating-point number holds, or more than 100 levels of nesting, quarantines that
record, with its line. As a destination: like CSV.
""",
    "JSON files": """
One array of objects, read and written in constant memory, with the rules of JSON Lines for each object. An item that is
no object, or that cannot be read, quarantines that record, with its number. Mode `append` writes the file anew with the
rows added. A file with one object a line is read with `options: {format: jsonl}`.
""",
    "Parquet files": """
Values have the types of their columns, and each is carried exactly ([How values travel](values.md#parquet-and-arrow)).
A value that has no exact form quarantines its record, with its row. A source is read by its row groups, some MiB at a
time, in whatever storage it lies. As a destination: exactly once, each batch is a part of its own, and the file is
written from them at the end, with row groups of `group_size` bytes. The type of a column is the one in `types`, else
that of the declared output, else the one that holds each of the run's values exactly. A value that its column would
change quarantines its record at stage `load`. Mode `replace` (the default) or `append`, which writes the file anew with
the rows added: they have to fit its columns.
""",
    "Arrow files": """
As Parquet files, in Arrow's own format: its record batches are what row groups are there. Each batch is held in memory.
""",
    "Excel workbooks": """
One sheet, whose first row names the columns. Numbers are what a workbook holds: a whole one is an integer, others have
64 bits. Dates and times are ISO 8601 text, an empty cell is null, an empty row is left out. A workbook is read as a
whole: at most 128 MiB, and 1 GiB unpacked. As a destination: exactly once, one sheet, in mode `replace` alone. Numbers
are written with all their digits, text as text and never as a formula, lists and objects as their JSON text. An integer
beyond 2^53, a text of more than 32,767 characters and a control character quarantine their record at stage `load`.
""",
    "YAML files": """
A list of mappings, or several documents that are mappings, at most 4 MiB and a million values with those that aliases
repeat. Values are YAML 1.2's: `yes` is text, dates are text as written, `!!binary` is bytes. An item that is no
mapping, or has a name twice, a number of more digits than a floating-point number holds or a type of its own,
quarantines that record, with its line.
""",
    "TOML files": """
The tables of one array, `[[reviews]]`, at most 16 MiB. Dates and times are ISO 8601 text.
""",
    "SQLite, DuckDB, MySQL and Postgres": """
Read in pages by the key, so a resumed run goes on where it stood. As a destination: exactly once, the rows of a batch
and a row of the table `loom_load_ledger` are one transaction. A row that violates a constraint quarantines that record
at stage `load`; its neighbours load. Mode `upsert` (the default where records have a key), `append`, or `replace`,
which is put in place at the end of the run as a whole.

DuckDB lets one process write a file, and no other read it meanwhile. Loom closes the file when it is idle for 0.3 s,
and for a moment after each second of work. Who finds it open in another process waits `timeouts.connect` for it, and
then as for a database that is away. So in a cluster several extractors may read one file at the same time; loaders may
write one in turns, which is slow, so keep to one. All of them must run on the machine that has the file. A table
without `extract.key` is read in the order of its `rowid`: nobody may delete its rows meanwhile.

Postgres behind a pooler, such as PgBouncer, is refused, unless the pooler has `pool_mode = session` and the URL says
so: `?pool_mode=session`. Transaction pooling would lose the settings by which values are exact. PgBouncer's
`ignore_startup_parameters` has to name `statement_timeout` and `idle_in_transaction_session_timeout`. The same holds
for the databases of `LOOM_STATE_URL`, `LOOM_JOURNAL_URL` and `LOOM_PAYLOADS_URL`.

Tables of MySQL and MariaDB are those of InnoDB; they are written in strict mode and in UTC, whatever the settings of
the server are. A statement that creates or removes a table commits there, so such statements run apart from the
transaction of a batch. A deadlock is tried again, up to five times. `upsert` goes by the key alone: where the table has
another unique index, row by row. A table without `extract.key` is read by its primary key. The URL may hold `ssl_ca`,
`ssl_cert`, `ssl_key` and `ssl_verify_identity`; TLS is used where the server offers it, except on the same machine. All
of it is tested with MariaDB 10.11, and with no server of MySQL.
""",
    "SQL Server": """
`mssql://user:password@host:1433/database`, with the authentication of SQL Server; that of Windows and of Entra is not
offered. SQL Server 2016 and later, and Azure SQL, at a compatibility level of 130 or more.

**Not tried on a real server.** No SQL Server runs where Loom is tested. All of it is tested against an emulator: the
protocol by `pysqlbridge`, which was measured beside a SQL Server by its authors, over databases of Postgres whose
transactions, locks and constraints are real, and into whose SQL the statements are translated. What only a real server
would refuse in a statement has not been seen: try a pipeline with `--sample` first, and report what you find.

The connection is always encrypted, and the server's certificate is verified: by the authorities that everybody trusts,
or by those in a file that `ca=server.pem` names, which may hold the server's own certificate. The certificate must name
the host, unless `verify_host=false`.

**As a source**: a table, or a `query` that can stand in brackets, which in SQL Server is one without `WITH` and without
`ORDER BY` at its end; put either into a view. Pages are read by `extract.key`, or by the primary key of the table, or
another unique index in which no column may be NULL. A table without one needs `extract.key`. Texts are compared by the
collation of their column, so where that takes `a` for `A`, so do pages; none is lost or read twice. Blanks at the end
of a text count nothing in any comparison of SQL Server.

**As a destination**: rows and the load ledger are written in one transaction, with `XACT_ABORT`; where a row is
refused, a new transaction does the same again without it. Rows come as one text of JSON, which `OPENJSON` takes
apart. An upsert is a `MERGE` with `HOLDLOCK`, and needs a unique index on the key. A deadlock, and a lock that is
waited for longer than `timeouts.load`, are tried again. What an identity or a computed column holds is not written.
Texts of tables that Loom makes are `NVARCHAR(MAX)` with the collation `Latin1_General_100_BIN2`, in a key
`NVARCHAR(450)`.
""",
    "Snowflake": """
`snowflake://user:password@account/database/schema?warehouse=wh`, and `role=name` where the user's default role is not
the one. The host is the account's identifier: `myorg-myaccount`. Without a schema it is `PUBLIC`. Instead of a password
the URL may hold a key pair: `private_key=${KEY}`, a key in PEM, or `private_key_file=/run/secrets/key.p8`, each with
`private_key_passphrase=${PASSPHRASE}` where the key is encrypted; or `authenticator=oauth&token=${TOKEN}`. The user
stands before the host in each case.

A name in small letters, of a field, a table or `extract.key`, is the name in capital letters that Snowflake keeps for
one that was written without quotes, and the other way round: the column `REVIEW` is the field `review`. Names that mix
both are the same in both.

Snowflake has no order of rows, and checks no primary key, so a source needs `extract.key`. It is read in pages by it,
and split where its first column holds whole numbers. Rows with equal keys are told apart by all their values.

As a destination: exactly once, the rows of a batch and a row of the table `loom_load_ledger` are one transaction. A
transaction first updates one row of the ledger, so loads into one schema wait for each other; the batches of a
process that wait are written together. `upsert` goes by any columns, by `MERGE`; where rows of the table have the same
key, it updates each of them. A statement that creates or alters a table commits in Snowflake, so it runs before what
the transaction did, which is then done again. What a role may do is seen when it is done: `loom validate` cannot tell
that it may not write.

All of it is tested against an emulator of Snowflake (fakesnow, which keeps the data in DuckDB), and with no account of
Snowflake.
""",
    "BigQuery": """
`bigquery://project/dataset`. Without more it takes the credentials of the machine, as `gcloud auth application-default
login` and workload identity leave them; else the key of a service account: `credentials=${KEY}`, in JSON, or
`credentials_file=/run/secrets/key.json`. `location=EU` says where jobs run, where BigQuery cannot tell by the dataset.
`endpoint=http://127.0.0.1:9050` names an emulator, which gets no credentials.

BigQuery has no order of rows, and checks no primary key, so a source needs `extract.key`. It is read in pages by it,
and split where its first column holds whole numbers; each page reads what the query reads, and is billed so. Rows with
equal keys are told apart by all their values.

As a destination: exactly once, the rows of a batch and a row of the table `loom_load_ledger` are one transaction, which
is sent as one script. It first updates one row of the ledger, so of two transactions in one dataset BigQuery ends one,
which is then done again; the batches of a process that wait are written together. Rows beyond 2 MB are put into a table
`loom_stage_...` before, which is removed after, or by BigQuery within a day where the process was killed. `upsert` goes
by any columns, by `MERGE`; where rows of the table have the same key, it updates each of them. Tables are made and
altered before the transaction. Rows are looked at before they are sent, because BigQuery does not say which one was at
fault. What an account may do is seen when it is done: `loom validate` cannot tell that it may not write. Rows cannot be
withdrawn (`loom evaluate --apply`).

It is tested against an emulator of BigQuery (`make bigquery`: bqemulator, which keeps the data in DuckDB), and with no
project of Google's: conflicts of transactions, quotas, roles and columns of the type `JSON` have been tried nowhere.
""",
    "Queues and exchanges: RabbitMQ": """
`amqp://` or `rabbitmq://`, and `amqps://` for TLS, with `ssl_ca`, `ssl_cert` and `ssl_key` as files. The path is the
virtual host; without one it is `/`. Queues and exchanges have to be there: Loom declares none.

*A queue as a source* is read until as many messages are taken as stood in it when the run began, or until none has come
for `idle_timeout`. A body is a JSON object, a JSON array of them, JSON Lines, or text; each message may be of another
content type. A body that is no record is quarantined with the id of its message, and the others go on. Up to `prefetch`
messages are written to Loom's database (that of `LOOM_JOURNAL_URL`, or else of the payloads) before they are
acknowledged, all in one transaction with their ids; from then on the run reads them there, also when it is resumed. A
process that dies in between leaves them to be delivered again, and the id tells that they are there. So each message is
loaded once as long as `dedup_window` remembers it, in this run and in all others that read the same queue; one without
an id, neither as a property nor in `message_id_field`, is taken **at least once**. Messages of a run that failed or was
cancelled are in Loom, and no more in the queue: `loom resume RUN` loads them. A trial (`--sample`) looks at `prefetch`
messages at most, and leaves all of them in the queue. One process at a time reads for a run.

*An exchange as a destination* gets each row as a persistent JSON message, and the row counts as loaded when the broker
has confirmed it. **At least once, deduplicated by message id**: after a crash, messages of the batches in flight are
published again, with the id that they had; a replay or a resumed run publishes a record under its first id, too. A
message that reaches no queue quarantines its record (`unroutable`), and so does one that the broker does not take
(`refused`), or whose template names a field that the row lacks (`no_message`). A trial publishes nothing: its rows go
to `<exchange>.sample.jsonl`.
""",
    "Redis streams": """
`redis://`, and `rediss://` for TLS, with `ssl_ca`, `ssl_cert` and `ssl_key` as files. The path is the number of the
database, `stream` the key of the stream, and `group` the consumer group, `loom` where none is named. Group and stream
are made where they are not there yet. It needs Redis 6.2 or newer, or Valkey.

The fields of an entry are those of the record, each a text: `XADD reviews * id 71 review "I love it!"`. Where one field
holds the record as JSON, `field` names it: `XADD reviews * data '{"id": 71}'` and `options: {field: data}`. An entry
that is no record is quarantined with its id, and the others go on.

Up to `prefetch` entries are written to Loom's database, in one transaction with their ids, before the group
acknowledges them (`XACK`); from then on they are read there. What a process was given that died is given again, and
what any other consumer of the group holds for longer than `claim_after` is taken over (`XAUTOCLAIM`): let it be longer
than other programs of the group need for an entry. So each entry is loaded once, as long as `dedup_window` remembers
it. Two pipelines that read one stream need a group each, or they share its entries. Entries stay in the stream: whoever
adds them limits it (`XADD ... MAXLEN`), and what is removed before it is taken is lost to the group.

A pipeline with `mode: streaming` ([streaming.md](streaming.md)) takes entries as they come, and another one those that
stood in the stream when its run began. A trial (`--sample`) looks at the entries that come next, and takes none.
""",
    "Records over HTTP": """
`api://tickets` is the source of a pipeline with `mode: streaming` that is given its records by `POST
/api/v1/pipelines/NAME/records` ([api.md](api.md#records-into-a-stream)). They wait in Loom's database until the stream
has kept them, whether it is at work or not. The name is one of your own: letters, digits, `-` and `_`. Records wait for
one pipeline and one name, so that another name begins with nothing. A trial (`--sample`) looks at those that wait, and
takes none.
""",
    "REST APIs": """
JSON over HTTP. The location is the address of the API after `rest+`; user and password in it are sent as `basic`.

```yaml
name: paid_orders
params:
  status: {type: string, default: paid}
extract:
  source: rest+https://api.example.com/v1/orders
  key: id
  incremental: {column: updated_at, lag: 10m}
  options:
    params: {status: "{{ status }}", limit: 100}
    records: data.items
    pagination: {type: cursor, cursor_path: meta.next_cursor, cursor_param: cursor}
    auth: {type: bearer, token: "${API_TOKEN}"}
    start_param: updated_since
    rate_limit: 5
transform: {type: passthrough}
load:
  destination: rest+https://crm.example.com/v2/deals
  mode: append
  options:
    batch: 50
    wrap: deals
    auth:
      type: oauth2_client_credentials
      access_token_url: https://crm.example.com/oauth/token
      client_id: ${CRM_CLIENT}
      client_secret: ${CRM_SECRET}
```

**Pages.** A page is asked for, its records are cut into batches, and the next page is asked for. At most one page is
held in memory. The cursor of a slice holds what asks for the page, and how many of its records were read: after a
crash, the run goes on there, and reads the same batches if the server gives the same pages. What an API inserts,
removes or sorts anew meanwhile can be missing or come twice; a sort order by a field that only grows helps against
it, and `extract.key`, which finds what comes twice. With `extract.key`, an extractor that takes over the run reads the
pages before its slice once more. An API is always one partition.

| `pagination.type` | what asks for the next page | which page is the last |
|---|---|---|
| `single_page` (the default) | nothing | the first |
| `link` | the header `Link` with `rel="next"`, or the address at `next_url_path` | one without it |
| `cursor` | what `cursor_path` or `cursor_header` has, as `cursor_param` | one where it is missing, null or empty |
| `page` | `page_param`, which counts from `base_page` | one without records |
| `offset` | `offset_param`, the number of records so far, and `limit_param` | one without records |

`has_more_path`, `total_path` and `total_pages_path` tell the last page earlier, which saves a request.
A short form is the name alone: `pagination: link`. A server that leads back to an earlier page, or that gives one page
again, fails the run instead of keeping it running. Paths are written `data.items`, `data[-1].id`, `$.data['odd.name']`
or `/data/items`; in `location: body`, `page_param` and its like may be paths too, e.g. `paging.cursor`.

**Long poll.** In a [stream](streaming.md) the server is asked for what is new, again and again:

```yaml
name: triaged_events
mode: streaming
extract:
  source: rest+https://api.example.com/v1/events
  options:
    records: events
    pagination: {type: cursor, cursor_path: next, cursor_param: after}
    long_poll: {wait: 30s, wait_param: timeout, id_field: id}
    auth: {type: bearer, token: "${API_TOKEN}"}
transform: {type: passthrough}
load: {destination: "sqlite:///events.db?table=events", mode: append}
```

`pagination` says where an answer has its cursor: in the body, in a header such as `ETag` (`cursor_header`), or as the
next address (`link`); and how the next request carries it: in the query, the body or a header such as `If-None-Match`.
A request waits at the server for `wait`, which `wait_param` tells it, and the records of its answer are kept with its
cursor. What else a server is to be told stands in `params` and `headers`; there the first cursor stands, too, where
the server needs one: `params: {after: 0}`. On a cluster each extractor may have a request that waits, and the first
answer counts.

| the server answers | the stream |
|---|---|
| with records | takes them, and asks again at once |
| 204, 304 or 408, without a body or records, or not in time | is quiet, and asks again |
| with records that it gave before | leaves out those whose `id_field` it knows |
| 429 or 503 with `Retry-After` | waits so long, and says so |
| not at all, with another error, or with no JSON | waits, says so, and asks again from the same cursor |

Between two requests of which the first brought nothing new there is at least `extract.poll` (`1s`); one that waited so
long at the server is followed at once. Without `id_field`, an answer that has records and no new cursor is an error.

**Records** are read as exactly as those of JSON files. An item that is no object, or that cannot be held as it is,
quarantines that record, with its page and its number there. An answer that is no JSON is asked for again, and then
fails the run.

**Incremental.** `start_param` sends the least value that the run looks at: the mark less `lag`, or `start`. Numbers are
sent as they are, times as `2024-01-31T12:00:00Z` or as `start_format` says. The API must also give the records that
have this very value; what is older, Loom leaves out.

**What may pass** (no connection, a broken answer, 408, 425, 429, 5xx) is tried again, `attempts` times with growing
pauses and jitter; then the batch or slice waits as for a database that is away. `Retry-After` in seconds or as a date,
and `X-RateLimit-Reset` or `RateLimit-Reset` where nothing remains, say how long the pause is. 401, 403 and 404 fail
the run.

**Credentials** are references, and are resolved where they are used. They are sent to the host, port and scheme of the
location alone: a redirection or a next link that leads elsewhere is refused unless its host is in `allowed_hosts`, and
then it is followed without them. A fetched token is renewed a minute before it expires, and after a 401. No cursor and
no error holds one of them, also where the server repeats it.

**As a destination**, each record is one request, or with `batch` several are. Each request has an idempotency key that
is derived from the run and its records, and stays the same through crashes, resumes and replays. So a record is there
once where the server honours the header; else **at least once**, because a request that got no answer is sent again.
`PUT` to an address with a field, `rest+https://host/users/{id}`, is exactly once per key in any case. The rows of one
batch may arrive in any order, `concurrency` at a time. An answer of 400, 409, 422 or another 4xx quarantines the record
with the server's reason; where a list is refused, its records are sent one by one. That takes the server at its word
that it kept nothing of the list; where it may have, read `results` instead. There is no mode `replace`, and nothing is
written in a trial.
""",
}

STORAGES = """
## Functions of your own

`python:module:function` names a function of a module that lies beside the pipeline file or is installed. As a source
it yields dicts, or returns a list or an iterator of them, and may be asynchronous, too. It is called with those
parameters of the run that it names, and has to yield the same records in the same order whenever it is called: a run
that goes on calls it again and passes over what it has read. A record that is no dict, or holds a value without a JSON
form, is quarantined with its number. As a destination it is called with a list of rows as dicts, plain or `async`, and
returns nothing, or `{"index": 3, "error": "why"}` for each row that it refuses, which quarantines that record. **At
least once**: a crash may give it a batch again. A trial does not call it: its rows go to `python.sample.jsonl`. What
it raises is reported with its type, and tried again as the stage says. [plugins.md](plugins.md) says how a connector
is written that does more.

This is a whole `shop.py`, with a source and a destination:

```python
async def orders(count):  # params: {count: 20}, extract: {source: "python:shop:orders"}
    for number in range(count):
        yield {"id": number, "text": f"order {number}"}


async def publish(rows):  # load: {destination: "python:shop:publish"}
    for row in rows:
        print("published", row["id"])
    return [{"index": index, "error": "no text"} for index, row in enumerate(rows) if not row["text"]]
```

## Compressed files

A name that ends in `.gz`, `.zst` or `.bz2`, as `reviews.csv.gz`, or the option `compression`, says that a file of text
is compressed. It is packed and unpacked as it is read and written, in constant memory. Each page goes on where the page
before ended; only a process that begins amid the file unpacks what is before. Rows are added as a compressed file of
their own at the end. A file that unpacks to more than 256 MiB and to more than 1,000 times its size is refused, and so
is a Zstandard file that asks for more than 128 MiB of memory. Parquet files are compressed inside: see `codec`.

## Buckets: S3, Google Cloud Storage, Azure

`s3://bucket/name` is an object of Amazon's S3 or of whatever speaks its protocol, `gs://bucket/name` one of Google
Cloud Storage, `az://container/name` one of Azure Blob Storage. What follows in the URL says how the bucket is reached.
Keys are [credential references](pipeline.md#credentials); a key in plain text is a mistake. Without them the usual
environment variables count (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `GOOGLE_SERVICE_ACCOUNT`,
`AZURE_STORAGE_ACCOUNT_NAME` and so on), or the role of the machine.

```yaml
extract:
  source: s3://reviews/2024/*.parquet?endpoint=${S3_ENDPOINT}&access_key_id=${S3_KEY}&secret_access_key=${S3_SECRET}
```

| scheme | parameter | meaning |
|---|---|---|
| `s3` | `endpoint` | Where it is not Amazon's. `http://` only for a server of one's own. |
| `s3` | `region`, `access_key_id`, `secret_access_key`, `session_token` | As for every client of S3. |
| `s3` | `virtual_hosted=true` | The bucket is part of the host's name. |
| `gs` | `service_account`, `service_account_key` | The path of the file of a service account, or its content. |
| `gs` | `endpoint` | Where it is not Google's. `http://` only for a server of one's own. |
| `az` | `account`, `account_key`, `sas_key` | The storage account, and one of its keys. |
| `az` | `client_id`, `client_secret`, `tenant_id`, `endpoint` | An application that is registered instead. |
| all | `anonymous=true` | Requests are not signed. |

As a source: one object, a pattern (`*`, `**`, `[ab]`; a `?` begins the parameters), or a folder, which ends in `/` and
needs the option `format`. Names that begin with a point or an underscore, as `_SUCCESS`, are left out. A character that
means something in a URL is written as `%23`. Objects are read in blocks of 1 MiB, each only as long as it is the same
object: one that is written to while a run reads it fails the run, also between two slices. As a destination: exactly
once. Parts and the manifest lie beside the object, in `<name>.loom/`; the result is uploaded in pieces of 8 MiB and
then exchanged as a whole. One process at a time works on a result: it holds an object `lock` there, written only where
there is none. It is taken over 30 seconds after its process died. The store has to heed `If-None-Match` and `If-Match`
when an object is written, as S3, Google, Azure, MinIO and SeaweedFS do. `append` writes the object anew with the rows
added, and nobody but Loom may write to it meanwhile. `loom validate` writes an empty object beside the destination and
removes it, to see that this is allowed.

S3 is tested against SeaweedFS, which checks signatures, in every test run. Azure is tested by `make azure`, which
installs Microsoft's emulator Azurite with npm: the same tests of sources and destinations, with signatures checked.
Google's store is tested in every test run, too, against an emulator of its XML interface that Loom's tests bring:
the published ones do not answer that interface, by which the library writes and lists. It checks the tokens that the
service account signs, and does what names a generation only where the object has it. Google's own servers have not
been asked.

## Web servers

`https://host/reviews.csv` is read in ranges of 1 MiB where the server has ranges, each of the same version: by its
ETag, its date and its size. A server without ranges sends the file once, to a temporary file, at most 1 GiB. A file
that changes between two slices fails the run. Redirects are followed. A password is written as
`https://${USER}:${PASSWORD}@host/...`, a token as a parameter, both as references.
"""
