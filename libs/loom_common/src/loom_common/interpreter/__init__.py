"""Sets up the Python that runs a process of Loom's own: its memory, its search for garbage, its dataclasses.

Each module imports almost nothing, because it is imported before everything else."""
