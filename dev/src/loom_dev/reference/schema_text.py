"""Holds the text of docs/pipeline.md about schemas of records."""

SCHEMA = """
## Schemas of records

`extract.schema` is a contract for the records of the source, `transform.schema` for what a model or your code answered,
which is looked at before its evaluation costs anything, and `load.schema` for the rows as they would be loaded. A contract
holds each record to the stored version of its schema. Versions belong to a pipeline, are in the table `schema_versions` of the state database, and are shown by `loom schema show` and
`loom schema history`.

```yaml
extract:
  source: data/users.csv
  schema: {columns: discard_value, types: discard_row}
transform:
  type: ai
  prompt: prompts/classify.txt
  model: gpt-4o-mini
  output: {type: object, properties: {mood: {type: string}}, required: [mood]}
  schema: {columns: discard_value, types: discard_row}
load:
  destination: results/users.jsonl
  schema: auto
```

| short form | tables | columns and types | |
|---|---|---|---|
| `auto`, `evolve` | `evolve` | `evolve` | A run that succeeds stores what is new as the next version. |
| `warn` | `evolve` | `evolve` | The report says what differs; nothing is stored. |
| `manual` | `evolve` | `freeze` | The first record that does not fit fails the run; `loom schema apply` stores another version. |
| `freeze` | `freeze` | `freeze` | The same, and nothing is made that is not there. |
| `discard_row`, `discard_value` | `evolve` | the same | |

`tables` says whether what is not there yet may be made, as in dlt. `tables: freeze` refuses a run before it costs anything:

| in | what has to be there | where it is not |
|---|---|---|
| `extract.schema` | a stored version of the schema of the source | `loom schema apply FILE` stores it |
| `transform.schema` | a stored version of the schema of the answers, or a declared `output` | declare it, or `loom schema apply FILE --stage transform --from SCHEMA` |
| `load.schema` | the table or the file of the destination, whatever `create_table` says | make it; its columns stand in `loom validate --connect` |

A trial (`--sample`) reads and writes where nothing is there yet, so that `loom schema infer` can say of its results what to store.
There is no `discard_row` for `tables`: it would pay for every record of a run and load none.

What becomes of records that differ from the stored version, whose columns and types have the same mode:

| the records have | `evolve`, `auto` | `warn` | `freeze`, `manual` | `discard_row` | `discard_value` |
|---|---|---|---|---|---|
| a column that is new (`added`) | loaded; the next version has the column | loaded | the run fails | quarantined | loaded without the column |
| no such column any more (`removed`) | loaded | loaded | loaded | loaded | loaded |
| the column under another name (`renamed`) | loaded; the next version has both columns | loaded | the run fails | quarantined | loaded without the column |
| values of a wider type (`widened`) | loaded; the next version has the wider type | loaded | the run fails | quarantined | loaded with null |
| values of a narrower type (`narrowed`) | loaded | loaded | loaded | loaded | loaded |
| values of another type (`changed`) | loaded; the next version takes any type | loaded | the run fails | quarantined | loaded with null |
| nulls in a column that had none (`nullable`) | loaded; in the next version it may be null | loaded | loaded | loaded | loaded |

It is the same for records of the source, answers and rows, each held to the version of its own stage. *Loaded* means that
this contract does not keep them back.

- Without a stored version every record fits, unless `tables` are frozen. The first run that succeeds (or is `partial`) stores one, unless
  `store: false`; so does `loom schema apply FILE`, from the source, or from a document of `loom schema infer`.
- A run is held to the versions that are stored when it begins. Where columns or types evolve, it stores the next one in the
  transaction that ends it: a version takes all that the one before took, so columns are added and widened, and none is
  narrowed or removed. Failed and cancelled runs, trials (`--sample`) and replays store nothing.
- Until a version of the answers is stored, `transform.schema` holds them to the declared `output`. What `output` demands is
  enforced before: an answer that misses it is asked for again, and then quarantined.
- A run whose declared `output`, key or `load.include` has a column that a stored version lacks, or does not take, is refused
  at its start where the contract freezes that.
- `discard_row` quarantines the record with the code `schema_contract`, and names the contract, the column and the value.
  A replay is held to the versions that are stored when it begins, so `loom schema apply` may let the record through.
- A record that lacks a column, or has null in it, fits every contract; the report says so.
- Each run reports how its records differ from the version that it was held to, also where only `loom schema apply` has
  stored one and the section has no `schema`: columns that are `added`, `removed`, `widened`, `narrowed`, `changed` (to a
  type that is neither), `nullable`, and `renamed`, which is a guess by kind and name. `drift` of `--format json` has the
  same. `loom schema diff FILE` looks at the source without a run, and exits with 1 where it differs.
- `loom validate` tells the same before a run, where versions are stored: how the first records of the source (one page, at
  most 1,000), the declared output and the rows differ, and what a run would do about each column; `drift` of `--format json`
  has it, too. What a frozen contract would fail at makes the file invalid. A state database that is a server is asked only with
  `--connect`, and a source whose parameters only a run gives is not compared.
- Where `load.schema` lets columns evolve (`auto`, or `columns: evolve`), a column that the table of the destination lacks is
  added to it; where it lets types evolve, a column that does not take a value gets a wider type
  ([which](values.md#columns-that-evolve)). Under `warn`, and without `load.schema`, a table stays as it is.

Before a run, source, prompt, declared output and table are compared. `loom validate --connect` shows every column: where its
values come from, whether the prompt has it, as what it is written, its type in the destination, and what a run does about it
(`created`, `added`, `widened`, `as it is`, `not written`, or which values are refused). A run says on stderr which columns its
destination lacks or does not take as they are. A table that lacks a column which the output declares, or which a
`passthrough` writes from every record of the source, is refused, unless it may evolve. On a
cluster an extractor and a loader look before the first slice is read: what does not fit fails the run with the same
words, `loom manifest` shows what was found, and `loom resume` looks again.

What a column takes, as it is; a value of another kind does not fit, and none is converted:

| a column of the type | takes |
|---|---|
| `boolean`, `object`, `array` | values of that type |
| `integer` | whole numbers |
| `number` | whole and other numbers |
| `string` | every text |
| `string` with the format `integer`, `boolean`, `date`, `datetime`, `uuid`, `email` or `url` | texts that read as one; `datetime` also takes dates |
| `string` with the format `number` | texts that read as a number, whole or not |
| `any` | everything |

Values of a CSV file are texts, so their columns have a format where all of their texts read as one. Text is looked at up
to 400 characters.
"""  # noqa: E501 - rows of a table
