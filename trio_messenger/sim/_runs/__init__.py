"""One run: its options, and its execution in virtual or real time."""
