from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber

__all__ = ["Code", "OptionNumber"]
