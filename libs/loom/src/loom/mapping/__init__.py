"""Maps the fields of a source to the concepts of an ontology."""
