"""The least rights in Redis of gateways and of workers, as rules of ACL SETUSER. docs/deploying.md shows them too.

Each needs only the keys below KEY_PREFIX. Rights to connect, without those that affect other clients, let it log in,
name its connection, and ask WAIT and WAITAOF. INFO and CONFIG GET say how durable a write is,
CLUSTER NODES where a partition is, in a cluster.
"""

from collections.abc import Sequence

_EVERYBODY = ("resetchannels", "-@all", "+@connection", "-@dangerous", "+info", "+config|get", "+eval", "+evalsha",
              "+cluster|nodes")  # fmt: skip

GATEWAY = (
    *_EVERYBODY, "+time",
    "+xadd", "+xlen", "+xrange", "+xinfo|stream", "+xsetid",
    "+get", "+mget", "+set", "+exists", "+hget", "+hset",
)  # fmt: skip

WORKERS = (
    *_EVERYBODY, "+script|load", "+time",
    "+xreadgroup", "+xgroup|create", "+xgroup|delconsumer", "+xclaim", "+xpending", "+xack", "+xdel",
    "+xinfo|stream", "+xinfo|groups", "+xinfo|consumers", "+xadd", "+xlen", "+xrange", "+xrevrange", "+xsetid",
    "+get", "+mget", "+set", "+del", "+exists", "+expire", "+pexpire", "+pttl", "+scan",
    "+hget", "+hmget", "+hgetall", "+hset", "+hdel", "+hlen", "+hsetnx", "+hincrby", "+hexists",
)  # fmt: skip
"""Of workers, and of the commands of operators."""


def rules(rights: Sequence[str], key_prefix: str, password: str) -> list[str]:
    """Return the rules of one user who may log in with the password and use the keys below a prefix."""
    return ["reset", "on", f">{password}", f"~{key_prefix}:*", *rights]
