"""Connections whose client sends nothing, ends no header or takes no answer are closed: uvicorn would keep them."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""Longest time from a connection's first byte, or a request's, to the end of its header."""
ANSWER_SECONDS = 30.0
"""Longest time in which a client takes nothing of an answer that waits for it in memory."""


class Connection(H11Protocol):
    """uvicorn's own protocol, with a limit to how long a header may take, and how long an answer may wait."""

    _timer: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on while a header is incomplete, and no longer once it is there."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self.conn.trailing_data[0] and self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the waiting too."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Watch whether the client takes what waits for it."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Watch no longer: nearly all of it is taken."""
        self._stop_watching()
        super().resume_writing()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(ANSWER_SECONDS, self._look)

    def _look(self) -> None:
        """End a connection of which nothing was taken since the last look."""
        if self.transport.get_write_buffer_size() < self._unsent:
            self._watch()
        else:
            self.transport.abort()

    def _stop_watching(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
