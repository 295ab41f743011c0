"""What a bench needs of the operating system: processes, descriptors, signals, folders. Nothing knows of a run."""
