"""A node that serves: the service and its tasks, the router and its rules, handlers, and the process around them."""
