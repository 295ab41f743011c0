"""Operating system helpers: processes, standard streams, signals, folders. They know nothing about runs."""
