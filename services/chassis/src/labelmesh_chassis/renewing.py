"""A channel whose certificate is another one once its files were replaced: gRPC's own, in Python, keeps the one it was opened with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from labelmesh_chassis.certificates import CertificateFiles, channel_credentials


class RenewingChannel(grpc.Channel):
    """Calls go over a channel with the certificate that the files hold now. One with an older certificate is closed after its last call.

    Threads share it. Calls of all four shapes, in all the ways that stubs make them; changes of connectivity are not told.
    """

    def __init__(self, target: str, files: CertificateFiles, options: Sequence[tuple[str, Any]]) -> None:
        self._target = target
        self._files = files
        self._options = list(options)
        self._lock = threading.Lock()
        self._closed = False
        self._retired: set[_Opened] = set()
        self._current = self._open()

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Method(self, "unary_unary", (method, *arguments), options)

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Method(self, "unary_stream", (method, *arguments), options)

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Method(self, "stream_unary", (method, *arguments), options)

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Method(self, "stream_stream", (method, *arguments), options)

    def subscribe(self, callback: Any, try_to_connect: bool | None = False) -> None:
        raise NotImplementedError("a channel that is renewed has no connectivity of its own")

    def unsubscribe(self, callback: Any) -> None:
        raise NotImplementedError("a channel that is renewed has no connectivity of its own")

    def close(self) -> None:
        """Ends calls in flight and refuses new ones."""
        with self._lock:
            self._closed = True
            leaving = (self._current, *self._retired)
        # Without the lock: a channel waits for its calls' ends, and those are told to `give_back`.
        for opened in leaving:
            opened.channel.close()

    def __enter__(self) -> RenewingChannel:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def take(self) -> _Opened:
        """The channel for one call more."""
        found = self._files.current()
        with self._lock:
            if self._closed:
                raise ValueError("Cannot invoke RPC on closed channel!")
            if found.number != self._current.number:
                old, self._current = self._current, self._open()
                if old.calls:
                    self._retired.add(old)
                else:
                    old.channel.close()
            self._current.calls += 1
            return self._current

    def give_back(self, opened: _Opened) -> None:
        """After the call."""
        with self._lock:
            opened.calls -= 1
            last = opened in self._retired and not opened.calls
            if last:
                self._retired.remove(opened)
        if last:
            # Not from the call's own callback, which the channel waits for.
            threading.Thread(target=opened.channel.close, name="old-channel", daemon=True).start()

    def _open(self) -> _Opened:
        found = self._files.current()
        return _Opened(grpc.secure_channel(self._target, channel_credentials(found), options=self._options), found.number)


class _Opened:
    def __init__(self, channel: grpc.Channel, number: int) -> None:
        self.channel = channel
        self.number = number
        self.calls = 0

    def method(self, asked: _Method) -> Any:
        make: Callable[..., Any] = getattr(self.channel, asked.shape)
        return make(*asked.arguments, **asked.options)


class _Method:
    """One method of a stub, on whatever channel is the current one."""

    def __init__(self, channel: RenewingChannel, shape: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.shape = shape
        self.arguments = arguments
        self.options = options
        self._channel = channel

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self.shape.endswith("stream"):
            return self._begun(lambda method: method(*arguments, **options))
        opened = self._channel.take()
        try:
            return opened.method(self)(*arguments, **options)
        finally:
            self._channel.give_back(opened)

    def with_call(self, *arguments: Any, **options: Any) -> Any:
        opened = self._channel.take()
        try:
            return opened.method(self).with_call(*arguments, **options)
        finally:
            self._channel.give_back(opened)

    def future(self, *arguments: Any, **options: Any) -> Any:
        return self._begun(lambda method: method.future(*arguments, **options))

    def _begun(self, begin: Callable[[Any], Any]) -> Any:
        """A call that ends later."""
        opened = self._channel.take()
        try:
            call = begin(opened.method(self))
        except BaseException:
            self._channel.give_back(opened)
            raise
        if not call.add_callback(lambda: self._channel.give_back(opened)):
            self._channel.give_back(opened)
        return call
