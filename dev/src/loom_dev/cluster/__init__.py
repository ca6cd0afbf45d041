"""The whole of Loom on this machine, for `loom run --cluster`: three servers and six services.

Containers where a Docker daemon answers; else private processes under a supervisor. Everything it keeps lies in
`.loom/cluster` of the project folder, readable by its owner alone."""
