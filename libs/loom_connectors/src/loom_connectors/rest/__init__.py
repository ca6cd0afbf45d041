"""Reads REST APIs page by page, and sends records to them: JSON over HTTP.

`connector.py` opens both. What they share is in `http`; what only one of them needs is in `reading` and in
`loading`."""
