"""A node at work: the service and its tasks, what becomes of each message, and the process around it."""
