"""Takes the records of a batch through the graph of a transform's steps."""
