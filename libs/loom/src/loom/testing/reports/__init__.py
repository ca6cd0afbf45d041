"""Writes reports of tests for programs: JSON, JUnit XML, Markdown, and annotations of GitHub."""
