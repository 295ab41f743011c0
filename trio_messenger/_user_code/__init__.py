"""Code that the author of a node wrote: what it takes, how it fails, and what it must not leave open."""
