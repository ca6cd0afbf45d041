"""What a run came to: its counts, scores, lineage, calls and cost, kept up and added up.

Facts are booked here and reports are read from here."""
