"""What is made of a model's answer: JSON found in text, checked against the declared shape, for one record or several.

Transforms and judges come in here; it asks the journal and knows no provider."""
