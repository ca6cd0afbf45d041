"""Measures pipelines against labelled data: candidates are run over the labelled records by the embedded engine, and
what they give is compared with the labels."""
