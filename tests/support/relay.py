"""A stretch of network between two parts: it spreads connections over those who are ready, and can be cut without anybody being told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

_BYTES = 64 * 1024


class Relay:
    """Listens on `port` of 127.0.0.1 and hands each connection to one of `ready()`, in turns, for as long as it lasts.

    That is what a Service of Kubernetes does. While it is cut, no byte passes in either direction and no connection is closed, as when
    the machine at the other end has lost its network; what was said meanwhile arrives when it is mended.
    """

    def __init__(self, port: int, ready: Callable[[], Sequence[int]]) -> None:
        self.port = port
        self._ready = ready
        self._turn = 0
        self._open = asyncio.Event()
        self._open.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Relay:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._open.clear)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # One end has gone, or the relay is closed; so goes the other.
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        targets = self._ready()
        if not targets:
            return
        self._turn += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", targets[self._turn % len(targets)])
        try:
            ways = [asyncio.ensure_future(self._carry(*pair)) for pair in ((reader, far_writer), (far_reader, writer))]
            try:
                await asyncio.gather(*ways)
            finally:
                for way in ways:
                    way.cancel()
        finally:
            far_writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_BYTES):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        await self._open.wait()
        if writer.can_write_eof():
            writer.write_eof()
