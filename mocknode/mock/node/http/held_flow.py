"""Flow control that lets several causes hold reading back at once."""

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl


class HeldFlow(FlowControl):
    """uvicorn's flow control, in which reading stays paused as long as anyone holds it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._holders: set[str] = set()

    @property
    def held(self) -> bool:
        """Whether reading is held back."""
        return bool(self._holders)

    def hold(self, holder: str) -> None:
        """Read nothing until `release` with the same holder."""
        self._holders.add(holder)
        self.pause_reading()

    def release(self, holder: str) -> None:
        """End one hold; reading goes on when it was the last."""
        self._holders.discard(holder)
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless held."""
        if not self._holders and not self._transport.is_closing():
            super().resume_reading()
