"""Holds the text of docs/cli.md about both command lines, `loom.yaml` and the environment variables."""

CLI_INTRO = """\
# The command line

Results are printed on stdout, everything else on stderr, including the output of your own code. `--format json` always
prints one JSON document; a command without a result prints `{"error": ..., "mistakes": [...]}`. A run shows its
progress as a live table where stderr is a terminal, and elsewhere as a line every few seconds.

| exit code | meaning |
|---|---|
| 0 | succeeded |
| 1 | failed: the run could not go on, or loaded nothing while errors kept records back |
| 2 | bad usage or configuration |
| 3 | partial: below the batch threshold, all rejected, or ended by a limit of failures; paused by someone else |
| 4 | cancelled |
| 5 | succeeded or partial, and beyond a limit of `--fail-on` or `fail_on` |
| 130 | interrupted: the first Ctrl-C, or SIGTERM, pauses the run and says how to resume it, the second ends at once |

Every command takes `--verbose`, which shows the traceback of an error.
"""

COORDINATOR = """
# `loom-coordinator`

This command administers a cluster. It needs the same `LOOM_BUS_URL` and `LOOM_STATE_URL` as the services. Where
neither is set, it administers the cluster that `make up` started in this folder or in one above. Without a command it
starts the coordinator itself. [Operations](operations.md) has the runbooks.

Results are printed on stdout, everything else on stderr, and an error as one line. Tables fit a terminal of 100
columns, and are whole in a pipe or a file; `--format json` prints one JSON document with all values.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it could not be done, or something is amiss: a difference, a missing queue, a server that does not answer |
| 2 | bad usage or configuration; something of that name is not there |
"""

CONFIG = """
# `loom.yaml`

This file is looked for in the working directory, then in the folders above. Its folder is the project folder, where
`.loom/` holds the state; without the file, the working directory is. Every key is optional. Secrets are written only
as `${NAME}`.
"""

ENVIRONMENT = """
## Environment variables

These take precedence over `loom.yaml`. Services read only these: `LOOM_BUS_URL`, `LOOM_STATE_URL`, `LOOM_JOURNAL_URL`,
`LOOM_PAYLOADS_URL`, `LOOM_PROJECT_DIR`, `LOOM_ALLOWED_PATHS`, `LOOM_CREDENTIAL_PREFIX`, `LOOM_LOG_LEVEL`. Where neither
they nor `loom.yaml` name a broker, `--cluster` uses the addresses that `make up` wrote into `.loom/cluster/env`.

`LOOM_EVERY_HOP=true` lets every batch visit every stage, also those that have nothing to do
([architecture.md](architecture.md#stages-and-hops)). The default is `false`. The coordinator (without a cluster: the
process of the run) reads it and writes it into the plan of each run and replay that it starts, so that all replicas
agree, and a resumed run keeps it.

`LOOM_API_...` are those of the REST API ([api.md](api.md#who-may-ask)). `LOOM_COORDINATOR_ACCESS_FILE`,
`LOOM_COORDINATOR_TRUSTED_USERS` and `LOOM_BUS_NAMES_USER` say who may ask over AMQP
([wire-format.md](wire-format.md#who-may-ask)). `LOOM_COORDINATOR_FACTS_TOGETHER=false` has each batch told of
by a message of its own ([wire-format.md](wire-format.md#follow-a-run)).

Limits of a process; times are in seconds:
"""
