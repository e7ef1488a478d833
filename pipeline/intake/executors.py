"""Where files are opened: contained worker processes, or this process. Chosen by `ingest.executor` in params.yaml.

An executor has the shape of `concurrent.futures`: `submit(function, *arguments)` returns a future. Ingestion asks for
no more, so a cluster's executor fits in: one more function in EXECUTORS. A future that raises TimeoutError stands for
a file that took too long, one that raises BrokenExecutor (`WorkerLost` is one) for a file that killed its worker.
"""

from __future__ import annotations

import importlib
import multiprocessing.context
import os
import resource
import signal
import tempfile
import types
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from multiprocessing import forkserver, popen_forkserver, spawn
from typing import TYPE_CHECKING, Any

from PIL import Image

from pipeline.images import Refused
from pipeline.process import die_with_parent

if TYPE_CHECKING:
    from pipeline.params import Ingest

_PRELOADED = ["pipeline.intake.inspection", "imagehash", "scipy.fftpack"]  # imported once, not by each worker


_START_SECONDS = 60
_KEPT_BLOCKS = 16  # of 16 MB each, Pillow's unit
_LONGEST_SOCKET = 107  # bytes of the path of a socket (unix(7))
_SOCKET = "/pymp-12345678/listener-12345678"  # of the standard library's, in the folder for temporary files


class WorkerLost(BrokenExecutor):
    """A worker process ended while it worked: a decoder crashed it, or the system took its memory back."""


class _Popen(popen_forkserver.Popen):
    """Starts a worker as the standard library does, without running the main program's file in it.

    No worker needs that program, which may be a flow (seconds of importing each time), or come from standard input.
    """

    def _launch(self, process_obj: object) -> None:
        bare = types.SimpleNamespace(get_preparation_data=_without_main)
        standard: Any = popen_forkserver.Popen._launch  # type: ignore[attr-defined]  # not public; tests hold it
        types.FunctionType(standard.__code__, {**standard.__globals__, "spawn": bare})(self, process_obj)


def _without_main(name: str) -> dict[str, Any]:
    data = spawn.get_preparation_data(name)
    return {key: value for key, value in data.items() if not key.startswith("init_main")}


class _Process(multiprocessing.context.ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 (the standard library's hook)
        return _Popen(process_obj)


class _Context(multiprocessing.context.ForkServerContext):
    """Workers are forked from a server of their own: this process may run threads, as a flow does."""

    Process = _Process


class Contained(Executor):
    """Worker processes, each with a limit of memory, and of time for each call. A worker that dies costs one call."""

    def __init__(self, workers: int, seconds: float, memory_mb: int) -> None:
        """Start no more than `workers` processes, each when it is first needed.

        Raises:
            ValueError: none starts here.
        """
        import pebble

        _check_socket(tempfile.gettempdir())
        context = _Context()
        context.set_forkserver_preload(_PRELOADED)
        self._seconds = seconds
        self._pool = pebble.ProcessPool(workers, initializer=confine, initargs=(memory_mb,), context=context)
        self._check_start()

    def _check_start(self) -> None:
        """Refuse to go on where no worker starts: the pool would try for ever.

        Raises:
            ValueError: none started within a minute.
        """
        try:
            self._pool.schedule(os.getpid).result(_START_SECONDS)
        except (TimeoutError, BrokenExecutor):
            self.shutdown(cancel_futures=True)
            raise ValueError(
                f"no worker process started within {_START_SECONDS} s, so no file can be opened safely; look at what "
                f"the system printed above, or set ingest.executor to inline for images that you trust"
            ) from None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of a call; it raises TimeoutError or WorkerLost when a limit ended it."""
        return _translated(self._pool.schedule(fn, args, kwargs, timeout=self._seconds))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; calls that have not ended are given up."""
        end = self._pool.stop if cancel_futures else self._pool.close
        end()  # type: ignore[no-untyped-call]  # pebble annotates all but these
        if wait:
            self._pool.join()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """End the workers, at once after an error or Ctrl-C."""
        self.shutdown(cancel_futures=kind is not None)


def _check_socket(folder: str) -> None:
    """Refuse a folder for temporary files in which workers cannot be spoken to.

    Raises:
        ValueError: its name is too long.
    """
    length, most = len(os.fsencode(folder)), _LONGEST_SOCKET - len(_SOCKET)
    if length > most:
        raise ValueError(
            f"the folder for temporary files has a name of {length} bytes, too long for the sockets of worker "
            f"processes ({most} at most): {folder}; set TMPDIR to a shorter one"
        )


class Inline(Executor):
    """This process and no limits: for a debugger."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call at once and return the finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _processes(ingest: Ingest, seconds: float) -> Executor:
    return Contained(worker_count(ingest), seconds, ingest.decoder_memory_mb)


def _inline(ingest: Ingest, seconds: float) -> Executor:
    return Inline()


EXECUTORS: dict[str, Callable[[Ingest, float], Executor]] = {"processes": _processes, "inline": _inline}


def open_executor(ingest: Ingest, seconds: float) -> Executor:
    """Return the executor that params name, for calls of at most `seconds`; use it in a `with` block."""
    return EXECUTORS[ingest.executor](ingest, seconds)


def worker_count(ingest: Ingest) -> int:
    """Return how many workers params ask for; 0 means one for each core this process may use."""
    return ingest.workers or len(os.sched_getaffinity(0))


def limit_reached(error: BaseException, ingest: Ingest, key: str = "decode_seconds") -> Refused:
    """Return the refusal that a future's failure means for its file; `key` of `ingest` was its limit of time.

    Raises:
        BaseException: `error` itself, when it is none of a file's doing.
    """
    if isinstance(error, TimeoutError):
        return Refused("decoder_timeout", f"opening it took longer than ingest.{key} allows")
    if isinstance(error, BrokenExecutor):
        return Refused("decoder_crash", f"opening it ended the worker process ({error})")
    if isinstance(error, MemoryError):
        return Refused(
            "decoder_crash", f"opening it takes more than ingest.decoder_memory_mb ({ingest.decoder_memory_mb} MB)"
        )
    raise error


def confine(memory_mb: int) -> None:
    """Make this process a worker: silent, ended with its parent, Ctrl-C left to that, `memory_mb` more at most."""
    for module in _PRELOADED:  # here, if it was not done: importing must not count as decoding
        importlib.import_module(module)
    _let_forkserver_end()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (no file of ours)
        os.dup2(nowhere.fileno(), 2)  # where decoders remark on every damaged file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Memory of one image serves the next: asking the system for it anew costs up to as much as decoding.
    Image.core.set_blocks_max(_KEPT_BLOCKS)  # type: ignore[attr-defined]  # documented; the stubs lack it
    limit = _address_space() + memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _let_forkserver_end() -> None:
    """Close the pipe whose end tells the forkserver that we are gone: it was handed to this worker as well.

    While a busy worker holds it, neither forkserver nor worker would end with a process that was killed.
    """
    server: Any = forkserver._forkserver  # private: a test with a killed parent tells when it changes
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None


def _address_space() -> int:
    with open("/proc/self/statm") as stream:  # noqa: PTH123 (no file of ours)
        return int(stream.read().split()[0]) * resource.getpagesize()


def _translated(inner: Future[Any]) -> Future[Any]:
    """Return a future that says WorkerLost where pebble's says ProcessExpired."""
    import pebble

    outer: Future[Any] = Future()

    def finish(done: Future[Any]) -> None:
        error = done.exception()
        if isinstance(error, pebble.ProcessExpired):
            code = error.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            outer.set_exception(WorkerLost(how))
        elif error is not None:
            outer.set_exception(error)
        else:
            outer.set_result(done.result())

    inner.add_done_callback(finish)
    return outer
