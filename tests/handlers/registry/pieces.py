"""A sink that keeps what comes."""


class Pieces:
    def __init__(self) -> None:
        self.content = b"what a try before has left"
        self.restarts = 0

    def restart(self) -> None:
        self.content = b""
        self.restarts += 1

    def take(self, piece: memoryview) -> None:
        self.content += piece
