"""Shows pipelines, runs and their progress in notebooks, as HTML and SVG that holds nothing but data."""
