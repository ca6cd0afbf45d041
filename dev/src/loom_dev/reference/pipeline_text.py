"""Holds the text of docs/pipeline.md about the sections of a pipeline file."""

PIPELINE_INTRO = """\
# The pipeline file

One YAML file says where records come from, what is made of them, how the result is judged, and where it goes.
`loom validate FILE` reports every mistake at once, with file, line, column, what was found and what was expected. An
unknown key is a mistake. So is a field that neither the source nor the output has; the header of a file, the columns
of a query, or the first 100 lines of JSON Lines show which fields there are. Where only a run can show them,
`loom validate` says so.
This is `examples/customer_sentiment/pipeline-llm.yaml`:
"""

PARAMS = """
`loom run FILE --param limit=20` sets a parameter. In `extract.query`, `{{ limit }}` is bound as a value of its type,
and is never part of the SQL text. In a prompt it is `{{ params.limit }}`.
"""

EXTRACT = """
A batch is the unit of transport. Larger batches cost less per record, smaller ones spread better over replicas. The
`options` depend on the source: see [Connectors](connectors.md).
"""

TRANSFORM = """
| type | what it needs | output |
|---|---|---|
| `ai` | `prompt`, `model` | An object of the shape `output` declares; without one, `{text: ...}`. |
| `scorer` | `scorer`, `field` | What a local model says of the text. `vader`: `sentiment`, `confidence`, `compound`. |
| `python` | `function` | What your `def f(record: dict) -> dict` returns. Plain or `async`. |
| `metrics` | `metrics`, and `ontology` in the pipeline | A number for each metric of the ontology. |
| `passthrough` | nothing | The input as it is. |

A prompt is a Jinja2 template: `{{ input.review }}` is a field of the record, `{{ context.domain }}` the text of
`context/domain.md`, `{{ params.limit }}` a parameter. A name that does not exist is a mistake. A value that is not
text is written as JSON in UTF-8, with its fields in their order and without escapes for HTML (`true`, `null`,
`["é", 1.5]`). This is the same for `{{ input }}`, `{{ input.tags }}` and `{{ input | tojson }}`.

The answer of every model call is written to the journal before it is used, so a crash, a retry or a replay does not pay
for it again. `cache` decides only whether *later runs* reuse it.
"""

STEPS = """
A step has these keys, and those of its `type`: of a transform (`ai`, `embed`, `scorer`, `python`, `metrics`,
`passthrough`, or that of a package), of a filter or of a router. `schema`, `cascade`, `max_failures`,
`max_failure_rate` and `execution: batch` are not for steps. [steps.md](steps.md) says how steps work together.
"""
MESSAGES = """
[questions.md](questions.md) says in which order the parts of a question stand, and how each is written.
"""

EXAMPLES = """
[questions.md](questions.md#solved-examples) says what the file holds, and where its examples are shown.
"""

ATTACHMENTS = """
[questions.md](questions.md#images-documents-and-recordings) says where they may lie, what they cost, and what is
refused.
"""

PROVIDERS = """
`model: anthropic:claude-haiku-4-5` names the provider before the colon; a name without one is OpenAI's. The providers
in [Models](models.md#providers) are known by name. This section changes one of them, or adds another:

```yaml
providers:
  openai: {api_key: "${OUR_KEY}", rate_limit: {requests_per_minute: 3000}}
  ours: {base_url: http://gpu-1:8000/v1}       # then `model: ours:llama-3.1-8b`
```

The `providers` of `loom.yaml` are for every pipeline. Where a pipeline has a provider of the same name, its own is
used.
"""

RATE_LIMIT = """
All workers and runs that name the same model at the same endpoint share one limit, which is kept where the journal
is. Requests are spread evenly over the minute, so no 60 s have more than the limit. Where the shared limit cannot be
reached, each worker keeps to the limit by itself, and the run continues.
"""

EVALUATE = """
Every evaluator gives one score in [0, 1]; it passes if `score >= threshold`. The gate decides from all scores whether
the record is loaded. A record that does not pass is *rejected*: it is kept in quarantine with its reason and scores.
`loom quarantine list` shows it, and `loom quarantine retry` runs it again ([quarantine.md](quarantine.md)). A record
whose evaluator fails is quarantined; an error never counts as passed. `batch_threshold` is checked at the end of the
run; below it the run's status is `partial`, and its loaded rows stay. [evaluation.md](evaluation.md) says which
evaluator to choose and what is stored.
"""

LOAD = """
A loaded row consists of the key of the record, the fields of `include`, and the output. These may not have the same
names: `loom validate` refuses a declared output field that has the name of one of the others. A record is quarantined
where your own code gives the key another value (`key_overwritten`), or where it lacks a field of `include`
(`missing_field`). `loom validate` prints what the destination guarantees when a batch arrives twice, and what a later
run does to the rows.

| mode | what a later run does to the rows | what it needs |
|---|---|---|
| `upsert` | It updates the row of a record that is loaded again. | a unique index on exactly the key columns |
| `replace` | Its rows replace all others, if it succeeded or missed its `batch_threshold`. | |
| `append` | It adds its rows. A record that is loaded again has two rows. | |

A table that Loom creates for `upsert` has the index. Where your own table lacks it, the error has the statement that
creates it.

A run in mode `replace` first writes its rows beside the destination: into the table `<table>__loom_<run>`, or into
parts in the folder `<file>.loom/<run>`. If it ends before they are put in place, they count as `staged` instead of
`loaded`, the report says where they are, and the old result stays. `loom resume` continues with them. `loom cancel`
removes them, and so does the next run of the pipeline that replaces the same destination. A run that loaded no row
replaces nothing, unless `allow_empty: true`.

**A trial** (`loom run --sample N`) does not change the destination, unless `--load` is given. It shows its first rows
in the report, and replaces the rows of the trial before it:

| destination | what a trial loads into |
|---|---|
| the file `scores.csv` | `scores.sample.csv` |
| the table `scores` | `scores_sample`, with a load ledger of its own |
| a connector of your own, which is not called | `<table or scheme>.sample.jsonl` in the pipeline's folder |
| an exchange, to which nothing is published | `<exchange>.sample.jsonl` in the pipeline's folder |

`fallback` is treated in the same way.
"""

INGEST = """
[api.md](api.md#records-that-come-again) says how records come over HTTP, and what is answered for one that comes again.
"""

MONITORING = """
[cost.md](cost.md) says how a budget is kept, what `loom resume --budget` does, and when an alert is raised and where it
is sent.
"""

TIMEOUTS = """
Other limits are set elsewhere: `transform.timeout` and LOOM_MODELS_* for a question to a model, `timeout` of a `python`
evaluator, and `options.timeouts` of a database source or destination.
"""

OUTPUT = """
## The shape of an output

`transform.output` is JSON Schema, or a short form that looks like the record itself and means exactly these fields, all
of them present. An answer of another shape is given back to the model once for repair. If that fails, the record is
quarantined as `invalid_output`.

```yaml
output:
  sentiment: {enum: [positive, negative, neutral]}
  confidence: {type: number, minimum: 0, maximum: 1}
  topics: [string]            # a list
  author: {name: string}      # a nested object
  note: string?               # may be null
```
"""

GATES = """
## Quality gates

| gate | passes when | reason where it does not |
|---|---|---|
| `all_pass` | every evaluator passed | `criteria evaluator below threshold (0.70 < 0.75)`; for several: `Multiple evaluators failed: ...` |
| `majority_pass` | more than half passed (2 of 4 is not) | `Majority not achieved: 1/2 passed (50%)` |
| `any_pass` | at least one passed | `No evaluators passed threshold` |
| `{type: weighted, threshold: 0.75}` | the mean of the scores by `weight` reaches the threshold | `Weighted average below threshold (0.729 < 0.75)` |
| `module:Class` | `Class().apply(scores)` is true, or a passing verdict | its own |

Only under a `weighted` gate may a threshold be left out.
"""  # noqa: E501 - rows of a table

EVALUATORS = """
## Evaluators

Where several evaluators have one type, each needs a `name`. All evaluators have these keys:
"""

IDENTITY = """
## Record identity

`extract.key` names the field, or fields, that identify a record in the quarantine, in evaluations and in the
destination. A record without its key, or with the key of an earlier record, is quarantined. Without `extract.key`, a
record is identified by its content and its position in the source.
"""

FILES = """
## Files and functions

Relative paths start at the folder of the pipeline file. Paths stay in the project
([below](#paths-stay-in-the-project)). Prompts and context files are stored with the run and versioned
by their content, so workers need no shared disk for them. File sources and Python functions are read where the worker
runs, below its project folder. Functions are named `module:name`; a module beside the pipeline file is preferred to an
installed one.
"""

CREDENTIALS = """
### Paths stay in the project

A pipeline reads and writes files below these folders alone:

- the project folder: that of the nearest `loom.yaml`, from the working directory upwards; without one, the working
  directory. In a cluster it is `LOOM_PROJECT_DIR` of the worker;
- the folder of the pipeline file, where you run it without a cluster. In a cluster that folder comes with the request,
  and must itself lie in the worker's project folder;
- what a setting allows: `--allow-path PATH`, `allowed_paths` in [loom.yaml](cli.md#loomyaml), or
  `LOOM_ALLOWED_PATHS`, a list of folders and files separated by `:`, which takes the place of `allowed_paths`. A worker
  of a cluster has only the variable. In Python, it is `Loom(allow_paths=[...])`.

Any other path is refused with a sentence that names it, by `loom validate` and again where the file is opened: a
source, what its pattern matches, a destination, a prompt, a context file, a module beside the pipeline, a file of a
certificate, a key or a password that a URL names (`ssl_ca`, `sslrootcert`, `private_key_file`, `service_account`), and
`${file:...}`. For the last two, `/run/secrets` is allowed as well, and for files of URLs the folder of the certificates
that the machine trusts (`/etc/ssl/certs` on Debian). Links are followed first. A query of DuckDB reads files of the
same folders, and one of SQLite no other file. A connector of your own reads what it wants, and so does your Python
code. A source that you name on the command line (`loom schema infer`) may lie anywhere.

## Credentials

The worker that needs a credential looks it up. Credentials are never stored, logged or sent. A password in plain text
is a mistake.

- `${NAME}` and `${env:NAME}` are the environment variable NAME. With `credentials: {prefix: LOOM_}` in `loom.yaml`, the
  variable whose name begins with the prefix comes first.
- `${file:/run/secrets/db}` is the content of a file of the project, of `/run/secrets`, or of a folder that is
  [allowed](#paths-stay-in-the-project). Relative paths start at the project folder.
- `${aws:prod/db#password}` is the field `password` of the secret `prod/db` in AWS Secrets Manager (extra `aws`). The
  secret may be named by its ARN; without `#field`, its whole text is meant. Region, keys and roles are found as AWS's
  SDK finds them.
- `${vault:secret/shop/db#password}` is the field `password` at the path `shop/db` of HashiCorp Vault or OpenBao, in the
  KV engine (version 2) that is mounted at `secret`. The variables are Vault's own: `VAULT_ADDR`, `VAULT_TOKEN` (or the
  file `~/.vault-token`), `VAULT_NAMESPACE` and `VAULT_CACERT`.
- `${name:...}` asks a provider of a package or of your own:
  [plugins.md](plugins.md#a-credential-provider-loomcredentials).

For development, a file `.env` in the project folder (`NAME=value` in each line) gives what the environment does not
have. It never takes the place of a variable that is set. Keep it out of version control.

A changed secret needs no restart. Variables and files are read each time; what AWS, Vault or a plugin answered is used
for five minutes, and looked up anew as soon as a database, a store or a model's endpoint refuses it. The batch is then
tried again with the new secret; where the secret is the same as before, the run fails and says so.
"""

ONTOLOGY = """
[ontologies.md](ontologies.md) says what follows from it, which there are, and how one is written.
"""

PROFILES = """`loom run FILE --profile NAME` runs some of the steps of `transform.steps`, and says which. See
[steps.md](steps.md#profiles).
"""
