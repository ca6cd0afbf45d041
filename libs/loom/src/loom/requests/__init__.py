"""Prepares what people ask for - a check of a definition, a run, an estimate, a replay - and says why it cannot be
done.

The command line and the API both come in here, so that they refuse the same in the same words."""
