"""Holds the text of docs/pipeline.md about what happens when something fails."""

FAILING = """
## When something fails

**One record.** A record that fails in a stage is quarantined alone with its reason; the other records continue.
`on_failure` of the stage may say otherwise: `skip`, `retry`, `fallback` or `abort`.

**Many records.** A run ends when too many records fail: `max_failure_rate` is 0.5 for every stage unless set, and is
checked once 20 records have been through the stage. Loaded rows stay, failed records are in quarantine, and the report
groups the reasons, each with an example record. A rejection by the gate is no failure. A run that loaded nothing while
errors quarantined records is `failed`, however few there were. A run whose gate rejected all records is `partial`.

**In CI**, `fail_on: {rejected: 0.2, failed: 0}` or `--fail-on rejected=0.2` limits how many records may end in which
way: as a number (`5`), or as a share of the extracted records (`0.2`, `20%`). Beyond it `loom run` exits with 5;
records that passed are loaded all the same. The names are `rejected`, `quarantined`, `skipped`, `cancelled`, `failed`
(quarantined or skipped) and `kept` (failed or rejected).

```yaml
transform:
  fallback: [gpt-4o]             # or {value: {sentiment: neutral}}, or {cached: true}
  max_failures: 500
load:
  fallback: results/refused.jsonl
  max_failure_rate: 0.05
```

| fallback | when it is used |
|---|---|
| other models | when the model before it fails or is away |
| a fixed output, a cached answer | when the record itself fails; where the endpoint is away, the run waits for it |
| a second destination | for rows that the first refuses for good, and for batches while it cannot be written |

The record notes what answered (`answered_by`). A batch goes to the second destination only when the first is still away
in the last attempt. If the first was away between its commit and its answer, both may then have the batch.

**A record that kills its worker**, or uses up its memory, is found by running the records of its batch one by one.
One that started twice and never finished is quarantined as `poison`. An embedded run ends with its process;
`loom resume` does the same, and may be needed three times.

**A record that hangs** for longer than `timeouts.record` is quarantined as `timeout`. Some code cannot be
interrupted, and its thread stays. After 8 such threads (`LOOM_WORKER_LEAKED_THREADS`) a worker exits, to be started
again. An embedded run fails, and `loom resume` continues without these threads.

**An upstream that is away** is a model endpoint, a source or a destination that failed 5 times in a row (in the order
in which the calls began). Its breaker opens: it is not called for 60 s, then probed with single calls, and used again
after 3 answers (`LOOM_BREAKER_FAILURES`, `LOOM_BREAKER_OPEN_SECONDS`, `LOOM_BREAKER_SUCCESSES`). Batches that need it
wait, and no attempt is counted. Every 5 s the run prints on stderr what it waits for:
`transform pauses: model gpt-4o-mini at https://api.openai.com/v1 is away; next probe in 42 s, at 12:30:42 UTC`. Other
transient errors are tried again after 5 s, 30 s, 2 min and 10 min.

**An upstream that was never reached** by the process of an embedded run ends the run with that cause, in the first
failed attempt after 6 s (`LOOM_BREAKER_SEEK_SECONDS`). Examples are that nothing listens, that there is no such host,
that only one side uses TLS, or that the certificate is not trusted. With `loom run --wait`, and in a cluster, the run
waits for it. Where there is a fallback model or a second destination, that is used. `loom validate --connect` tries
every endpoint and the journal before a run, and asks no question that costs anything.
"""
