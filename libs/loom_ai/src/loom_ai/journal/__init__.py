"""Model calls that are written down before they are used: keys, claims, single flight, structured answers.

Transforms and evaluators ask here; the stores implement what it needs kept."""
