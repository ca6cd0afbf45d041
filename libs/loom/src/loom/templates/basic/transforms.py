"""Does what the pipeline does with each record."""


def tidy(record: dict[str, str]) -> dict[str, str | int]:
    """Return names in order, addresses in lower case, age as a number."""
    return {
        "name": " ".join(record["name"].split()).title(),
        "email": record["email"].strip().lower(),
        "age": int(record["age"]),
    }
