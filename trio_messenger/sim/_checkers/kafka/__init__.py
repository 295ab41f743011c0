"""The checker of kafka: logs to which clients append messages, and which they poll, as in Jepsen's kafka checker.

Each key has a log. A send appends a message to the log of a key and returns its *offset*. A poll returns messages with
their offsets. Offsets of a log increase, but may have gaps. The history says nothing else about a log, so the checker
infers it: the *version order* of a key is the list of all offsets that clients saw, with the message at each offset. A
*position* is an index in this list.

`checker` has the function `kafka`, and the list of the errors. The other modules each find some of them:

- `log_operations`: what operations sent and polled;
- `version_orders`: two messages at one offset, or one message at two offsets;
- `contiguity`: polls and sends that skip messages, or go back;
- `visibility`: messages that polls should not have returned, and messages that polls should have returned;
- `cycles`: operations that have no order, such as a poll of a message that is sent later;
- `last_polls`: messages that a node lacks at the end, although polls returned them;
- `realtime_lag`: how old the state was that a poll returned.

Differences from Jepsen, other than in names of evidence:

- Jepsen's checker fails with an exception if a poll returns a message that nobody sent. Here this is an error,
  ``unexpected``.
- Jepsen accepts that a node forgets a message that some client has polled, and that a node never returns what others
  return. Here, the final polls of every node have to return all these messages: otherwise they are ``missing``.
- Jepsen counts a polled message as unseen if the history ends there and no send to this key was ok. Here it is seen.
- If a log is inconsistent or has duplicates, Jepsen looks up positions by message and picks one of several. Here the
  offset decides, so one fault does not also appear as another.
- A poll that returns an empty list for a key does not make the checker forget how far its process had polled.
- The realtime lag of a client that continues at a committed offset counts from there, not from the beginning of the
  log. The memory for lags does not depend on the size of offsets.
"""
