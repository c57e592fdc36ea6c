from aiocoap.message import Message

class Pipe:
    request: Message

    def add_response(self, response: Message, *, is_last: bool = ...) -> None: ...
