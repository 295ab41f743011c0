"""One run or many: simulations, campaigns over seeds, and the check that a seed always gives the same run."""
