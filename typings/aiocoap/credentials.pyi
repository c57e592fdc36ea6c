from collections.abc import Mapping

class CredentialsMap(dict[str, object]):
    def load_from_dict(self, d: Mapping[str, object]) -> None: ...
