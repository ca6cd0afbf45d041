"""Holds what docs/connectors.md says of queues, streams and APIs."""

SERVICES = {
    "Queues and exchanges: RabbitMQ": """
`amqp://` or `rabbitmq://`, and `amqps://` for TLS, with `ssl_ca`, `ssl_cert` and `ssl_key` as files. The path is the
virtual host; without one it is `/`. Queues and exchanges have to be there: Loom declares none.

*A queue as a source* is read until as many messages are taken as stood in it when the run began, or until none has come
for `idle_timeout`. A body is a JSON object, a JSON array of them, JSON Lines, or text; each message may be of another
content type. A body that is no record is quarantined with the id of its message, and the others go on. Up to `prefetch`
messages are written to Loom's database (that of `LOOM_JOURNAL_URL`, or else of the payloads) before they are
acknowledged, all in one transaction with their ids; from then on the run reads them there, also when it is resumed. A
process that dies in between leaves them to be delivered again, and the id tells that they are there: whoever goes on in
its place acknowledges them, and they do not count as taken a second time. Where the broker notices that it died only
after the run has ended, the next run finds them, and knows them. So each message is loaded once as long as
`dedup_window` remembers it, in this run and in all others that read the same queue; one without an id, neither as a
property nor in `message_id_field`, is taken **at least once**. Messages of a run that failed or was cancelled are in
Loom, and no more in the queue: `loom resume RUN` loads them. A trial (`--sample`) looks at `prefetch` messages at most,
and leaves all of them in the queue. One process at a time reads for a run.

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
acknowledges them (`XACK`); from then on they are read there. What a process had kept that died before it acknowledged
it, the one that goes on acknowledges; what it was given and had not kept is given again, and first. What any other
consumer of the group holds for longer than `claim_after` is taken over (`XAUTOCLAIM`): let it be longer than other
programs of the group need for an entry. So each entry is loaded once, as long as `dedup_window` remembers it. Two
pipelines that read one stream need a group each, or they share its entries. Entries stay in the stream: whoever adds
them limits it (`XADD ... MAXLEN`), and what is removed before it is taken is lost to the group.

A pipeline with `mode: streaming` ([streaming.md](streaming.md)) takes entries as they come, and another one those that
stood in the stream when its run began. A trial (`--sample`) looks at the entries that come next, and takes none.
""",
    "Kafka": """
`kafka://`, and `kafkas://` for TLS, with `ssl_ca`, `ssl_cert` and `ssl_key` as files; where no `ssl_ca` is named, the
certificates that the machine trusts. Several brokers are separated by commas, and the path is the topic, which has to
be there. With a user and a password Loom signs in by SASL: `sasl` is `PLAIN`, the default, `SCRAM-SHA-256` or
`SCRAM-SHA-512`. `group` is the consumer group, `loom` where none is named. The user needs *Describe* and *Read* on the
topic, and *Read* on the group.

The value of a message is a JSON object, or an array of them; `format` says where it is JSON Lines or text. Values that
were serialized as JSON by way of a schema registry are read, too, and Avro and Protobuf are not. A message that is no
record is quarantined with its partition and offset, and the others go on; of headers with the same name, the last one
counts.

Up to `prefetch` messages are written to Loom's database, in one transaction with their identities and the offsets after
them, and then the offsets are committed to the group, so that its lag is what Loom has not kept. So each message is
loaded once: a process that dies is followed by one that reads from the offsets that were kept, and commits them where
it had not come to that. A run that begins anew starts where its group stands, and where a commit was lost, messages are
known by topic, partition, offset and time, or by `id_field`, for `dedup_window`. Messages of one partition keep their
order. Those of a transaction are read once it is committed. While the brokers are away, Loom waits for them and says
so.

Loom keeps the offsets itself and is no member of the group: the brokers refuse its commits while other programs are,
and Loom refuses to begin there. Two pipelines that read one topic need a group each, or each message goes to one.
Partitions that are added are read from their beginning, within a minute. Messages that the topic's retention removes
before they are kept are lost to the group; a line of the log tells how many. A topic that was deleted and made anew is
read from its beginning; brokers before Kafka 2.8 do not tell that, and it is noticed where its new offsets are lower.

A pipeline with `mode: streaming` ([streaming.md](streaming.md)) takes messages as they come, and another one those that
stood in the topic when its run began. A trial (`--sample`) looks at the messages that come next, and commits nothing.
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
