"""Keys to bytes: directories, memory, zip archives, and whatever fsspec reaches."""
