from aiocoap import interfaces

class Resource(interfaces.Resource):
    def __init__(self) -> None: ...
