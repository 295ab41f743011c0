"""One run: what it is asked to be, and how it goes, in virtual or in real time."""
