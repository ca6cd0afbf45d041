"""Shows people in a browser what the REST API tells programs: pages, their templates, their style sheet and scripts."""
