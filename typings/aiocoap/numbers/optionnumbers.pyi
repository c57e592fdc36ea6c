class OptionNumber(int):
    URI_HOST: OptionNumber
    URI_PORT: OptionNumber
    URI_PATH: OptionNumber
    ACCEPT: OptionNumber
    BLOCK1: OptionNumber

    def is_critical(self) -> bool: ...
