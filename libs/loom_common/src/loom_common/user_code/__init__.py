"""How the user's own code is found, run under a limit of time, tried again, and kept from taking its neighbours down.

The stages that run functions, evaluators or gates of the user come in here, and nobody else."""
