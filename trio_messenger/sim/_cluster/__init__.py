"""Who is on the network: nodes in this process or in their own, clients, and the nemesis."""
