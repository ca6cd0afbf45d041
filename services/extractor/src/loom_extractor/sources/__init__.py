"""Opens the sources of plans as runs may read them: what is away is waited for, and what gives each record once is
kept."""
