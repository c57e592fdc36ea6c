from enum import IntEnum

class Code(IntEnum):
    GET = 1
    POST = 2
    PUT = 3
    CHANGED = 68
    CONTINUE = 95
    BAD_REQUEST = 128
    UNAUTHORIZED = 129
    BAD_OPTION = 130
    NOT_FOUND = 132
    METHOD_NOT_ALLOWED = 133
    REQUEST_ENTITY_INCOMPLETE = 136
    REQUEST_ENTITY_TOO_LARGE = 141
    UNSUPPORTED_CONTENT_FORMAT = 143
    TOO_MANY_REQUESTS = 157
    INTERNAL_SERVER_ERROR = 160
    SERVICE_UNAVAILABLE = 163

    def is_successful(self) -> bool: ...
    @property
    def dotted(self) -> str: ...
