"""Write nodes of distributed systems on Trio: JSON messages, RPCs that never leak, structured concurrency.

A `Node` speaks the Maelstrom protocol. Each RPC that it sends is a record with a memory channel and a deadline. If no
reply arrives before the deadline, the reaper ends the RPC with a `RpcTimeout`.
"""

from ._node.node import Node as Node
from ._protocol.errors import (
    FIRST_USER_CODE as FIRST_USER_CODE,
    ErrorCode as ErrorCode,
    LocalProtocolError as LocalProtocolError,
    MessengerError as MessengerError,
    QuorumNotReached as QuorumNotReached,
    RemoteProtocolError as RemoteProtocolError,
    RetriesExhausted as RetriesExhausted,
    RpcError as RpcError,
    RpcTimeout as RpcTimeout,
    StoreError as StoreError,
)
from ._protocol.histogram import Latencies as Latencies
from ._protocol.messages import (
    Body as Body,
    Identity as Identity,
    MalformedMessage as MalformedMessage,
    Message as Message,
    Request as Request,
    can_be_sent as can_be_sent,
)
from ._protocol.printable import printable as printable
from ._protocol.public_names import show_public_names as _show_public_names
from ._protocol.stats import Stats as Stats
from ._rpc.backoff import Backoff as Backoff
from ._rpc.gather import Gathered as Gathered
from ._rpc.record import PendingRpc as PendingRpc
from ._rpc.retry import Retried as Retried
from ._sending.envelopes import Envelope as Envelope, EnvelopeLog as EnvelopeLog
from ._serving.at_most_once import AtMostOnce as AtMostOnce
from ._serving.timer import Timer as Timer
from ._storage.file_store import FileStore as FileStore
from ._storage.stores import DurableStore as DurableStore, MemoryStore as MemoryStore
from ._user_code.assertions import always as always, reachable as reachable, sometimes as sometimes
from .services import (
    LIN_KV as LIN_KV,
    LIN_TSO as LIN_TSO,
    LWW_KV as LWW_KV,
    SEQ_KV as SEQ_KV,
    Caller as Caller,
    KeyValue as KeyValue,
    TimestampOracle as TimestampOracle,
)
from .transports import Transport as Transport
from .transports.lossy import MessageLoss as MessageLoss

_show_public_names(__name__, globals())
