"""How durable a write to a Redis server is, derived from what the server reports. Pure: no input or output.

`check_durability` is the one check for all programs. The gateway asks it before it accepts events; `weaknesses` lists
everything at once, for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Durability = Literal["fsync", "fsync+replica", "memory"]
"""`fsync`: on this server's disk before the 2xx. `fsync+replica`: on replicas too. `memory`: an operator accepts, by
this name, that a crash of Redis loses what it had only in memory."""

CONFIG_NAMES = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")
"""The arguments of CONFIG GET. A managed server may forbid it; then only WAITAOF can confirm a write."""

REPLICA_LAG_S_MAX = 10
"""A replica that has acknowledged nothing for longer is gone: no write waits for it."""

ASKED_AGAIN_MS = 100
"""How long one question about replicas' disks waits, before it is put again.

A replica reports what is on its disk once a second, and when its master asks (`replicationSendAck` of replication.c).
WAITAOF makes the master ask together with the write, so that the report is made before the replica's fsync. It is sent
after it, though, and says that the write has arrived, which ends a WAIT: a WAITAOF behind that asks a second time.
Where that is still too early, as while a new replica rewrites its file, only another question is quicker than a second.
"""


class Confirmation(StrEnum):
    """How the client learns that a write is durable."""

    REPLY = "reply"  # the server answers only after its fsync
    WAITAOF = "waitaof"  # sent right behind the write, on the same connection
    WAIT = "wait"  # the reply confirms the fsync, WAIT the replicas
    NONE = "none"  # nothing is guaranteed


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The durability that one connection's server offers, and how each write is confirmed."""

    durability: Durability
    confirmation: Confirmation
    replicas: int
    run_id: str
    ignored_weakness: str = ""
    """What DURABILITY=memory ignores on this server."""

    @property
    def must_rewrite_duplicates(self) -> bool:
        """Whether a duplicate must be written again: WAITAOF and WAIT cover only writes of their own connection."""
        return self.confirmation in (Confirmation.WAITAOF, Confirmation.WAIT)

    def confirm_commands(self, timeout_ms: int) -> list[tuple[str | int, ...]]:
        """Return what to send right behind a write: the last reply confirms it, or does not yet. Empty where the
        write's own reply is the confirmation.
        """
        match self.confirmation:
            case Confirmation.WAIT:
                return [("WAIT", self.replicas, timeout_ms)]
            case Confirmation.WAITAOF if self.replicas:
                once_ms = min(ASKED_AGAIN_MS, timeout_ms)
                return [("WAIT", self.replicas, once_ms), ("WAITAOF", 1, self.replicas, once_ms)]
            case Confirmation.WAITAOF:
                return [("WAITAOF", 1, 0, timeout_ms)]
        return []

    def unconfirmed_reason(self, reply: object) -> str:
        """Return why this reply to the confirm command does not confirm the write; "" where it does."""
        match self.confirmation, reply:
            case Confirmation.WAITAOF, [int(local), int(replicas)]:
                if local < 1:
                    return "Redis did not report the write as fsynced to its append-only file in time"
            case Confirmation.WAIT, int(replicas):
                pass
            case _:
                return "Redis gave an unexpected answer to the question whether the write is durable"
        if replicas < self.replicas:
            return f"only {replicas} of the {self.replicas} replicas confirmed the write in time"
        return ""

    def has_too_few(self, reply: object) -> bool:
        """Return whether more replicas confirmed than have to: another one has joined, and may be the next master."""
        match reply:
            case [_, int(replicas)] | int(replicas):
                return replicas > self.replicas > 0
        return False


class NotDurableError(Exception):
    """This server cannot guarantee that a write survives. The message says why."""


def check_durability(
    wanted: Durability,
    replicas: int,
    info: Mapping[str, str],
    config: Mapping[str, str] | None,
    *,
    has_waitaof: bool,
    any_may_be_promoted: bool = False,
) -> Guarantee:
    """Return what this server guarantees. Raise NotDurableError where that is less than `wanted`.

    `info` is the answer to INFO; `config` the answer to CONFIG GET of CONFIG_NAMES, None where the server forbids it.
    `any_may_be_promoted`: all replicas that follow must confirm, because each of them may be the next master.
    """
    _require_writable(info)
    run_id = info.get("run_id", "")
    weak = weaknesses(info, config, has_waitaof=has_waitaof)
    if wanted == "memory":
        return Guarantee(wanted, Confirmation.NONE, 0, run_id, weak[0] if weak else "")
    if weak:
        raise NotDurableError(weak[0])
    replicas = replicas if wanted == "fsync+replica" else 0
    connected = int(info.get("connected_slaves", "0"))
    if connected < replicas:
        raise NotDurableError(f"only {connected} of the {replicas} replicas of Redis are connected")
    if replicas and any_may_be_promoted:
        replicas = max(replicas, len(following(info)))
    if _replies_after_fsync(config) and (not replicas or not has_waitaof):
        return Guarantee(wanted, Confirmation.WAIT if replicas else Confirmation.REPLY, replicas, run_id)
    return Guarantee(wanted, Confirmation.WAITAOF, replicas, run_id)


def weaknesses(info: Mapping[str, str], config: Mapping[str, str] | None, *, has_waitaof: bool) -> list[str]:
    """Return every reason why this server may lose a write, one sentence each, the most dangerous first."""
    config = config or {}
    found = []
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        found.append(f"Redis may evict accepted events: maxmemory-policy is {policy}, not noeviction")
    if info.get("aof_enabled") != "1" or config.get("appendonly", "yes") != "yes":
        found.append("Redis keeps no append-only file: appendonly is not yes")
    if info.get("aof_last_write_status", "ok") != "ok":
        found.append("Redis could not write its append-only file: aof_last_write_status is not ok")
    if config.get("appendfsync") == "no":
        found.append("Redis never forces its append-only file to disk: appendfsync is no, not always or everysec")
    elif not has_waitaof and not _replies_after_fsync(config):
        found.append(
            "Redis answers before its fsync and has no WAITAOF to ask about it: it needs appendfsync always "
            "(and no-appendfsync-on-rewrite no), or version 7.2"
        )
    return found


def _require_writable(info: Mapping[str, str]) -> None:
    """Raise for a replica, a loading or a full server: it takes no writes, whatever DURABILITY says."""
    if info.get("loading", "0") != "0" or info.get("async_loading", "0") != "0":
        raise NotDurableError("Redis is still loading its data from disk")
    role = info.get("role", "master")
    if role != "master":
        raise NotDurableError(f"this Redis is a {role}, not the master, so it takes no writes")
    memory_bytes = int(info.get("used_memory", "0")) - int(info.get("mem_not_counted_for_evict", "0"))
    if 0 < int(info.get("maxmemory", "0")) < memory_bytes:
        raise NotDurableError("Redis is out of memory: it holds more than maxmemory, so it takes no new events")


def following(info: Mapping[str, str]) -> list[tuple[str, int]]:
    """Return the addresses of the replicas that have the master's data and acknowledge what is added."""
    return [
        (replica.get("ip", ""), int(replica.get("port", "0")))
        for replica in _online(info)
        if replica.get("offset") != "0" and int(replica.get("lag", "0")) <= REPLICA_LAG_S_MAX
    ]


def has_unheard_replica(info: Mapping[str, str]) -> bool:
    """Return whether a replica has acknowledged nothing yet. It loads the data, which may take long, or has just come
    and was not asked.
    """
    return any(replica.get("offset") == "0" for replica in _online(info))


def _online(info: Mapping[str, str]) -> list[dict[str, str]]:
    replicas = (dict(field.partition("=")[::2] for field in text.split(",")) for name, text in info.items()
                if name.removeprefix("slave").isdigit())  # fmt: skip
    return [replica for replica in replicas if replica.get("state") == "online"]


def _replies_after_fsync(config: Mapping[str, str] | None) -> bool:
    """With `no-appendfsync-on-rewrite yes` even `always` does not fsync while the file is being rewritten."""
    config = config or {}
    return config.get("appendfsync") == "always" and config.get("no-appendfsync-on-rewrite", "no") == "no"
