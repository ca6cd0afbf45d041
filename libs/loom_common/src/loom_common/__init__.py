"""The language all Loom services speak, and nothing one service could own."""
