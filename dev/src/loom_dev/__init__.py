"""What a developer of Loom needs beside it: private backends, the local cluster, generated schemas."""
