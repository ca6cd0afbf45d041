"""Has scorers score several texts at once: in this process, in processes of their own, or at a model server."""
