"""Which records go up to the hub above. Pure; the rules are rows of the table sharing_rule."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocols import device_package_pb2 as wire
from protocols.nomenclature import EVT_GATEWAY_STATUS

EVERY_CODE: Final = ""


class RecordClass(StrEnum):
    """What can be shared or kept as a whole. Whom a device says that it measures (a subject claim) never goes up."""

    ALARM = "alarm"
    EVENT = "event"
    NUMERIC = "numeric"
    WAVEFORM = "waveform"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: a class as a whole (`code` empty), or one code of it (MDC), goes up or does not."""

    record_class: RecordClass
    code: str
    share: bool


class Rules:
    """The rules of one tenant. The rule of a code is stronger than that of its class; without either nothing goes up."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._share: Mapping[tuple[RecordClass, str], bool] = {(r.record_class, r.code): r.share for r in rules}
        self._shared = {record_class for (record_class, _), share in self._share.items() if share}

    def __bool__(self) -> bool:
        """Whether anything at all goes up."""
        return bool(self._shared)

    def let(self, record: wire.Record) -> bool:
        """Whether a record goes up. Samples do when each of their leads does; a gap does when anything of its class does."""
        kind = record.WhichOneof("kind")
        match kind:
            case "observation":
                return self._goes(RecordClass.NUMERIC, record.observation.code)
            case "waveform":
                return all(self._goes(RecordClass.WAVEFORM, lead) for lead in record.waveform.leads)
            case "alarm":
                return self._goes(RecordClass.ALARM, record.alarm.code)
            case "event":
                # A gateway reports to the hub whose it is.
                return record.event.code != EVT_GATEWAY_STATUS and self._goes(RecordClass.EVENT, record.event.code)
            case "document":
                return self._goes(RecordClass.DOCUMENT, EVERY_CODE)
            case "gap":
                of_samples = record.gap.HasField("from_sample")
                return (RecordClass.WAVEFORM if of_samples else RecordClass.NUMERIC) in self._shared
            case _:
                return False

    def among(self, records: Iterable[wire.Record]) -> Iterator[wire.Record]:
        """Those that go up, in their order."""
        return (record for record in records if self.let(record))

    def _goes(self, record_class: RecordClass, code: str) -> bool:
        found = self._share.get((record_class, code))
        return self._share.get((record_class, EVERY_CODE), False) if found is None else found
