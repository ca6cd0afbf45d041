"""Records the answers of models in files, and gives them again without a call: for tests of pipelines."""
