"""Checks of what comes from outside: records before they enter a run, and plans in run requests. Pure.

The stages and the coordinator come in here; it imports the definition and changes nothing."""
