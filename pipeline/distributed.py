"""One training in many processes: the first leads and keeps all records, the others follow its orders.

A follower holds the same networks and draws the same random numbers; all it does is to take the steps that the leader
takes, on its own part of each batch. It writes nothing, so it may be killed at any time.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

State = dict[str, Any]

_END, _STATE = -1, -2  # orders that are no step
_HOST, _PORT = "127.0.0.1", "ATELIER_LEADER_PORT"
_PATIENCE = timedelta(minutes=30)  # a leader that evaluates or saves is silent


@dataclass(frozen=True)
class Team:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process keeps the averages, and writes log, samples, checkpoints and result."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type by their means over all processes, in one exchange.

        What is not finite in one process is not finite in any afterwards.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [p.view_as(t) for p, t in zip(pieces, tensors, strict=True)])

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, of one shape, behind each other along dimension 0 in order of rank."""
        if self.size == 1:
            return tensor
        mine = tensor.detach().contiguous()
        everyone = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(everyone, mine)
        return torch.cat(everyone)

    def order_step(self, step: int) -> None:
        """Tell all followers to take step number `step`, as the leader is about to."""
        if self.size > 1:
            dist.broadcast(torch.tensor([step, 0]), src=0)

    def order_state(self, state: State) -> None:
        """Give all followers the leader's `state`: at the start, and whenever it went back to an earlier one."""
        if self.size > 1:
            buffer = io.BytesIO()
            torch.save(state, buffer)
            data = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
            dist.broadcast(torch.tensor([_STATE, len(data)]), src=0)
            dist.broadcast(data, src=0)

    def orders(self, device: torch.device) -> Iterator[int | State]:
        """Yield the leader's orders, a step or a state, until it ends."""
        order = torch.zeros(2, dtype=torch.int64)
        while True:
            dist.broadcast(order, src=0)
            what, size = order.tolist()
            if what == _END:
                return
            if what == _STATE:
                data = torch.empty(size, dtype=torch.uint8)
                dist.broadcast(data, src=0)
                yield torch.load(io.BytesIO(data.numpy().tobytes()), map_location=device, weights_only=True)
            else:
                yield what


ALONE = Team()


def is_follower() -> bool:
    """Whether this process was started to follow another one."""
    return int(os.environ.get("RANK", 0)) > 0


@contextmanager
def team(processes: int, device: torch.device, module: str, arguments: list[str], folder: Path) -> Iterator[Team]:
    """Yield this process's team; a leader starts its followers, as `python -m module arguments` in `folder`.

    Started by torchrun, a process joins what torchrun started. Followers end with the block, and with the leader,
    however it ends.

    Raises:
        ValueError: torchrun started another number of processes, or there are fewer GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", processes))
    if size != processes:
        raise ValueError(
            f"{size} processes were started but train.processes is {processes}; set it to {size}, "
            f"or start as many as it says"
        )
    if size == 1:
        yield ALONE
        return
    if device.type == "cuda" and size > torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"train.processes is {size} but {count} CUDA devices are visible; set it to {count} or less")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    rank = int(os.environ.get("RANK", 0))
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank)))
    if rank:
        for number in (signal.SIGTERM, signal.SIGINT):  # the leader is asked too, and says when to end
            signal.signal(number, signal.SIG_IGN)
    followers: list[subprocess.Popen[bytes]] = []
    if "TORCHELASTIC_RUN_ID" in os.environ:
        dist.init_process_group(backend, timeout=_PATIENCE)
    else:
        port = int(os.environ.get(_PORT, 0))
        store = dist.TCPStore(  # type: ignore[attr-defined]
            _HOST, port, size, is_master=rank == 0, wait_for_workers=False, timeout=_PATIENCE
        )
        if rank == 0:
            followers = [_start(i, size, store.port, module, arguments, folder) for i in range(1, size)]
        else:
            threading.Thread(target=_leave_with_leader, daemon=True).start()
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        yield Team(rank, size)
        if rank == 0:
            dist.broadcast(torch.tensor([_END, 0]), src=0)
            for follower in followers:
                follower.wait()
    except RuntimeError as error:  # a follower that is gone looks like a broken connection
        ended = [follower.poll() for follower in followers]
        if any(ended):
            raise ValueError(
                f"a training process beside this one ended with status {next(filter(None, ended))}; its message is "
                f"above; run the same command to continue from the last checkpoint"
            ) from error
        raise
    finally:
        for follower in followers:
            follower.kill()
            follower.wait()
        dist.destroy_process_group()


def _start(
    rank: int, size: int, port: int, module: str, arguments: list[str], folder: Path
) -> subprocess.Popen[bytes]:
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), _PORT: str(port)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **place}, stdin=subprocess.PIPE)


def _leave_with_leader() -> None:
    """End this process when the leader's end of its standard input closes: it died, or runs another program now."""
    os.read(0, 1)  # and not sys.stdin, whose lock a thread that waits would hold when Python ends
    os._exit(1)
