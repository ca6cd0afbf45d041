"""Contains what SQL sources share: a query or a table read in pages by key, and the port by which a system says how."""
