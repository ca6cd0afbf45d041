"""Contains implementations of the stores behind the ports of `loom_ai`: journals, claims, budgets, marks and buckets,
one package per technology."""
