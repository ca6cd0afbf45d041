"""Offers a project's pipelines to agents, over the Model Context Protocol."""
