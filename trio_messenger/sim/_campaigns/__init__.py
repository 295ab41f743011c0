"""From one run to many: simulations, campaigns over seeds, and whether a seed gives the same run again."""
