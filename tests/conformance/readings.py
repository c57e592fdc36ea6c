"""One reading, one record (IOT-5.4d): readings as a device means them, and the record or the refusal that each must become.

Expected values come from the definitions of the units (UCUM, SI) and of the number formats, worked out beside each row; none was copied
from a decoder. Every door that can carry a reading is given the same table (formats.py writes it).
"""

import math
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

NAN, INF = math.nan, math.inf
MEASURED = "2026-03-15T06:30:05+00:00"
CYTON_UV = 4.5e6 / 24 / (2**23 - 1)  # uV a count at gain 24, by its maker: 4.5 V / gain / (2^23 - 1)


@dataclass(frozen=True)
class Wave:
    """Samples as a device has them: raw integers, `gain` in `unit` a count."""

    fs_hz: float
    first_sample: int
    samples: tuple[int, ...]
    bits: int
    gain: float
    unit: str


@dataclass(frozen=True)
class Reading:
    """What a device means. `value` None: it has none. `time` with its offset; None: the device has no clock."""

    name: str
    path: str
    code: str
    value: float | str | Wave | None
    unit: str
    expected: tuple[float | str, str] | None  # value and unit of the record; None: refused
    because: str = ""  # words of the refusal
    time: str | None = MEASURED
    site: str = ""
    comparator: str = ""
    coded: bool = False
    only_package: str = ""  # why SenML cannot say it
    gain: float | None = None  # of the record's scale, for waveforms
    quality: str = "good"  # of the row; no sensor can truthfully report what is questionable

    @property
    def device_ns(self) -> int | None:
        """The device's clock in UTC."""
        if self.time is None:
            return None
        at = datetime.fromisoformat(self.time)
        return round(Fraction(str(at.timestamp())) * 10**9)


_GLU, _BODY, _SKIN = "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD", "MDC_TEMP_BODY", "MDC_TEMP_SKIN"
_SYS, _DIA, _MEAN = "MDC_PRESS_BLD_NONINV_SYS", "MDC_PRESS_BLD_NONINV_DIA", "MDC_PRESS_BLD_NONINV_MEAN"
_HR, _PR, _SPO2, _RR = "MDC_ECG_HEART_RATE", "MDC_PULS_OXIM_PULS_RATE", "MDC_PULS_OXIM_SAT_O2", "MDC_TTHOR_RESP_RATE"

READINGS = (
    Reading("heart rate", "ecg", _HR, 72.0, "/min", (72.0, "/min")),
    Reading("annotated unit", "ecg", _HR, 73.0, "{beats}/min", (73.0, "/min")),  # UCUM 2.2: braces mean nothing
    Reading("a true zero", "resp", _RR, 0.0, "/min", (0.0, "/min")),  # apnoea: no default that may be left out
    Reading("hertz", "oxi", _PR, 1.2, "Hz", (72.0, "/min")),  # 60 s a minute
    Reading("percent", "oxi", _SPO2, 97.0, "%", (97.0, "%")),
    Reading("ratio", "oxi", _SPO2, 0.97, "1", (97.0, "%")),  # % = 0.01
    Reading("out of range", "oxi", _SPO2, 137.0, "%", (137.0, "%"), quality="questionable"),  # the number as sent, and marked
    Reading("heart rate out of range", "ecg", _HR, 400.0, "/min", (400.0, "/min"), quality="questionable"),
    Reading("first temperature site", "temp/1", _BODY, 37.2, "Cel", (37.2, "Cel"), site="axilla"),
    Reading("second temperature site", "temp/2", _BODY, 36.4, "Cel", (36.4, "Cel"), site="rectum"),
    Reading("fahrenheit", "temp/1", _BODY, 98.6, "[degF]", (37.0, "Cel")),  # (98.6 - 32) * 5 / 9
    Reading("fahrenheit below zero celsius", "temp/3", _SKIN, 23.0, "[degF]", (-5.0, "Cel"), quality="questionable"),  # (23 - 32) * 5 / 9; no skin is so cold
    Reading("kelvin", "temp/1", _BODY, 310.15, "K", (37.0, "Cel")),
    Reading("mm of mercury", "nibp", _DIA, 80.0, "mm[Hg]", (80.0, "mm[Hg]")),
    Reading("kilopascal", "nibp", _SYS, 16.0, "kPa", (float(Fraction(16_000_000, 133_322)), "mm[Hg]")),  # mm[Hg] = 133.322 Pa
    Reading("hectopascal", "nibp", _MEAN, 133.322, "hPa", (100.0, "mm[Hg]")),
    Reading("mg/dL", "glu", _GLU, 105.0, "mg/dL", (105.0, "mg/dL")),
    Reading("mmol/L", "glu", _GLU, 5.6, "mmol/L", (100.88736, "mg/dL")),  # 5.6 * 180.156 g/mol / 10
    Reading("kg/L", "glu", _GLU, 0.00105, "kg/L", (105.0, "mg/dL")),  # 1 kg/L = 1e5 mg/dL
    Reading("pounds", "scale", "MDC_MASS_BODY_ACTUAL", 160.0, "[lb_av]", (72.5747792, "kg")),  # 0.45359237 kg
    Reading("negative", "acc", "WDL_ACCELERATION_Z", -1.02, "[g]", (-1.02, "[g]")),
    Reading("local time", "ecg", _HR, 74.0, "/min", (74.0, "/min"), time="2026-03-15T14:30:05.250+08:00"),
    Reading("no clock", "ecg", _HR, 75.0, "/min", (75.0, "/min"), time=None),
    Reading("a clock in 1970", "ecg", _HR, 76.0, "/min", (76.0, "/min"), time="1970-01-02T00:00:00+00:00", only_package="a time below 2^28 s counts from now (RFC 8428 clause 4.5.3)"),
    Reading("more than", "glu", _GLU, 600.0, "mg/dL", (600.0, "mg/dL"), comparator=">", only_package="SenML has no comparator"),
    Reading("text", "urine", "MDC_X_URINE_COLOUR", "straw", "1", ("straw", "1")),
    Reading("coded", "mode", "MDC_X_MODE", "MDC_X_STANDBY", "1", ("MDC_X_STANDBY", "1"), coded=True),
    Reading("unknown code", "vendor", "MDC_X_VENDOR_INDEX", 3.5, "{index}", (3.5, "{index}")),  # nothing to hold its unit against
    Reading("percent without a clock", "oximeter", _SPO2, 97.0, "%", (97.0, "%"), time=None),
    Reading("pulse without a clock", "oximeter", _PR, 72.0, "/min", (72.0, "/min"), time=None),
    Reading("out of range without a clock", "oximeter", _SPO2, 126.0, "%", (126.0, "%"), time=None, quality="questionable"),  # as much as 7 bits can say
    # 24 bits, two's complement: 0x800000 = -8388608, 0x7FFFFF = 8388607
    Reading("24 bits", "ecg", "MDC_ECG_ELEC_POTL_II", Wave(250.0, 100, (-8388608, -1, 0, 8388607), 32, CYTON_UV, "uV"), "", (0.0, "uV"), time=None, gain=CYTON_UV),
    Reading("millivolts a count", "ecg16", "MDC_ECG_ELEC_POTL_V2", Wave(130.0, 0, (-32768, -1, 0, 32767), 16, 0.00244, "mV"), "", (0.0, "uV"), gain=2.44),
    Reading("not a number", "temp/4", _BODY, NAN, "Cel", None, "finite"),  # SFLOAT 0x07FF
    Reading("plus infinity", "temp/4", _BODY, INF, "Cel", None, "finite"),  # SFLOAT 0x07FE
    Reading("minus infinity", "temp/4", _BODY, -INF, "Cel", None, "finite"),  # SFLOAT 0x0802
    Reading("missing", "temp/4", _BODY, None, "Cel", None, "none"),
    Reading("unit of another kind", "temp/4", _BODY, 37.0, "kg", None, "unit"),
    Reading("unit that is none", "temp/4", _BODY, 98.6, "degF", None, "unit"),  # UCUM writes [degF]
)  # fmt: skip
