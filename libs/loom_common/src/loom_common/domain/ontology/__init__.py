"""Says what the fields of records mean in a domain: concepts, metrics over them, and rules that hold of them. Pure."""
