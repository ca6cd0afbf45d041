"""Lists what pipelines may take by name, with what each says of itself."""
