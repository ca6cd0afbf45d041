"""Holds what docs/connectors.md says of the formats of files."""

FORMATS = {
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
}
