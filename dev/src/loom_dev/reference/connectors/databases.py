"""Holds what docs/connectors.md says of databases."""

DATABASES = {
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
}
