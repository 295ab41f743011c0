"""`Node`, the public API of a program that speaks the Maelstrom protocol. Its parts are in `_serving.service`."""
