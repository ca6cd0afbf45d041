"""Says which fields of records are sensitive, how sealed values look, and how texts are rid of sensitive ones.

It does no I/O and knows no key; `loom_common.sealing` encrypts and decrypts."""
