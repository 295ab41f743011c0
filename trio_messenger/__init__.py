"""Write nodes of distributed systems on Trio: JSON messages, RPC that never leaks, structured concurrency.

A `Node` speaks the Maelstrom protocol. Every RPC it sends is a memory channel and a deadline, and a reaper closes
each one whose reply never comes with a `RpcTimeout`.
"""

from ._errors import (
    FIRST_USER_CODE as FIRST_USER_CODE,
    ErrorCode as ErrorCode,
    LocalProtocolError as LocalProtocolError,
    MessengerError as MessengerError,
    RpcError as RpcError,
    RpcTimeout as RpcTimeout,
)
from ._message import (
    Body as Body,
    Identity as Identity,
    MalformedMessage as MalformedMessage,
    Message as Message,
    Request as Request,
)
from ._node import Node as Node
from ._pending import PendingRpc as PendingRpc
from ._stats import Stats as Stats
from .transports import Transport as Transport
