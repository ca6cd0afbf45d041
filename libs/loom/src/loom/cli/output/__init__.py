"""How results, progress and tables are printed, for people and for programs.

Only the commands come in here."""
