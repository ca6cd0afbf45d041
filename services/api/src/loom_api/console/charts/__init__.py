"""Computes where the parts of a chart stand. Templates draw them as SVG."""
