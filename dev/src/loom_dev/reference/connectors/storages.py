"""Holds what docs/connectors.md says of where files lie, and of functions of one's own."""

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

In a stream, objects are read [as they appear](streaming.md#sources): a pattern or a folder is watched, and the keys
must be allowed to list it.

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
