"""Stores records that somebody gives for one run, from Python or over HTTP, and reads them as the source of that run;
keeps the rows that a run on a cluster gives back to Python.

An iterator and a request give their records once, and a run reads a slice again after a crash. So all records are
stored in pieces in the payload store, which every worker reaches, before the run is started."""
