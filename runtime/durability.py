"""What a Redis server can promise about a write, judged from what it says of itself. Pure; no input or output."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Wanted = Literal["fsync", "fsync+replica", "memory"]
"""`fsync`: on this server's disk before the 2xx. `fsync+replica`: on replicas too. `memory`: an operator, by name,
accepts that a crash of Redis loses what it had only in memory."""

CONFIG_NAMES = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")
"""What is asked with CONFIG GET. A managed server may forbid it; then only WAITAOF can prove a write."""


class ProofMethod(StrEnum):
    """How a write is known to be durable."""

    REPLY = "reply"  # the server answers only after its fsync
    WAITAOF = "waitaof"  # asked right behind the write, on the same connection
    WAIT = "wait"  # the reply proves the fsync, WAIT the replicas
    NONE = "none"  # nothing is promised


@dataclass(frozen=True, slots=True)
class Promise:
    """What one connection's server can promise, and how each write proves it."""

    durability: Wanted
    method: ProofMethod
    replicas: int
    run_id: str
    weaknesses: str = ""
    """What DURABILITY=memory overlooks here."""

    @property
    def touches_duplicates(self) -> bool:
        """WAITAOF and WAIT cover only writes of their own connection, so the answer "duplicate" must be a write."""
        return self.method in (ProofMethod.WAITAOF, ProofMethod.WAIT)

    def proof_command(self, timeout_ms: int) -> tuple[str | int, ...] | None:
        """What to send right behind a write, None where its reply is the proof."""
        if self.method is ProofMethod.WAITAOF:
            return ("WAITAOF", 1, self.replicas, timeout_ms)
        if self.method is ProofMethod.WAIT:
            return ("WAIT", self.replicas, timeout_ms)
        return None

    def doubts(self, reply: object) -> str:
        """Why the answer to the proof command does not prove the write; "" where it does."""
        match self.method, reply:
            case ProofMethod.WAITAOF, [int(local), int(replicas)]:
                if local < 1:
                    return "Redis did not report the write as fsynced to its append-only file in time"
            case ProofMethod.WAIT, int(replicas):
                pass
            case _:
                return "Redis answered the question whether the write is durable with something else"
        if replicas < self.replicas:
            return f"{replicas} of the {self.replicas} replicas asked for confirmed the write in time"
        return ""


class CannotPromiseError(Exception):
    """This server cannot promise that a write survives. The sentence says why."""


def judge(
    wanted: Wanted,
    replicas: int,
    info: Mapping[str, str],
    config: Mapping[str, str] | None,
    *,
    has_waitaof: bool,
) -> Promise:
    """The promise this server can make. Raises CannotPromiseError where it is less than `wanted`.

    `info` is INFO's answer; `config` the answer to CONFIG GET of CONFIG_NAMES, None where the server forbids it.
    """
    _require_writable(info)
    run_id = info.get("run_id", "")
    weakness = _weakness(info, config, has_waitaof=has_waitaof)
    if wanted == "memory":
        return Promise(wanted, ProofMethod.NONE, 0, run_id, weakness)
    if weakness:
        raise CannotPromiseError(weakness)
    replicas = replicas if wanted == "fsync+replica" else 0
    if _replies_after_fsync(config) and (not replicas or not has_waitaof):
        return Promise(wanted, ProofMethod.WAIT if replicas else ProofMethod.REPLY, replicas, run_id)
    return Promise(wanted, ProofMethod.WAITAOF, replicas, run_id)


def _require_writable(info: Mapping[str, str]) -> None:
    """No setting of ours makes a replica, a loading or a full server acceptable: none takes writes."""
    if info.get("loading", "0") != "0" or info.get("async_loading", "0") != "0":
        raise CannotPromiseError("Redis is still loading its data from disk")
    role = info.get("role", "master")
    if role != "master":
        raise CannotPromiseError(f"this Redis is a {role}, not the master, so it takes no writes")
    memory_bytes = int(info.get("used_memory", "0")) - int(info.get("mem_not_counted_for_evict", "0"))
    if 0 < int(info.get("maxmemory", "0")) < memory_bytes:
        raise CannotPromiseError("Redis is out of memory: it holds more than maxmemory, so it takes no new events")


def _weakness(info: Mapping[str, str], config: Mapping[str, str] | None, *, has_waitaof: bool) -> str:
    """Why a write may be lost here, "" where it may not."""
    config = config or {}
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        return f"Redis may evict accepted events: maxmemory-policy is {policy}, not noeviction"
    if info.get("aof_enabled") != "1" or config.get("appendonly", "yes") != "yes":
        return "Redis keeps no append-only file: appendonly is not yes"
    if info.get("aof_last_write_status", "ok") != "ok":
        return "Redis could not write its append-only file: aof_last_write_status is not ok"
    if not has_waitaof and not _replies_after_fsync(config):
        return (
            "Redis answers before its fsync and has no WAITAOF to ask about it: it needs appendfsync always "
            "(and no-appendfsync-on-rewrite no), or version 7.2"
        )
    return ""


def _replies_after_fsync(config: Mapping[str, str] | None) -> bool:
    """With `no-appendfsync-on-rewrite yes` even `always` does not fsync while the file is being rewritten."""
    config = config or {}
    return config.get("appendfsync") == "always" and config.get("no-appendfsync-on-rewrite", "no") == "no"
