from aiocoap import interfaces
from aiocoap.credentials import CredentialsMap

class OscoreSiteWrapper(interfaces.Resource):
    def __init__(self, inner_site: interfaces.Resource, server_credentials: CredentialsMap) -> None: ...
