"""The members of the network: nodes, in this process or in their own processes, and clients; also the nemesis."""
