"""One table of what is measured and what can be wrong: MDC code, LOINC, UCUM unit, plausible range, display names.

Numbers follow ISO/IEEE 11073-10101 (partition * 65536 + code) where two published lists agree; `None` where the number could
not be verified, so that nobody sends an invented one. Terms that begin with `WDL_` are our own and stay inside Wardlink.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class TermKind(StrEnum):
    """What a term may stand for."""

    METRIC = "metric"
    LEAD = "lead"
    ALARM = "alarm"
    EVENT = "event"


class AlarmCategory(StrEnum):
    """What an alarm is about, as its melody says it (IEC 60601-1-8:2006, annex F; the ones that Wardlink can raise)."""

    GENERAL = "general"
    CARDIAC = "cardiac"  # rhythm, rate and blood pressure
    VENTILATION = "ventilation"
    OXYGEN = "oxygen"
    TEMPERATURE = "temperature"
    EQUIPMENT = "equipment"  # equipment or supply failure: every technical alarm


@dataclass(frozen=True, slots=True)
class Term:
    """One entry. `plausible` is what a sensor can truthfully report (inclusive), in `unit`; it is no alarm limit.

    `category` is what an alarm of this code, or of a limit of this measurement, is about.
    """

    code: str
    kind: TermKind
    en: str
    zh_hans: str
    number: int | None = None
    loinc: str | None = None
    unit: str = "1"
    plausible: tuple[float, float] | None = None
    short: str = ""
    category: AlarmCategory = AlarmCategory.GENERAL


HEART_RATE = "MDC_ECG_HEART_RATE"
SPO2 = "MDC_PULS_OXIM_SAT_O2"
PULSE_RATE = "MDC_PULS_OXIM_PULS_RATE"
PULSE_RATE_CUFF = "MDC_PULS_RATE_NON_INV"
PULSE_RATE_ART = "MDC_BLD_PULS_RATE_INV"
PLETH = "MDC_PULS_OXIM_PLETH"
RESPIRATION_RATE = "MDC_TTHOR_RESP_RATE"
IMPEDANCE_WAVE = "MDC_IMPED_TTHOR"
NONINV_SYS, NONINV_DIA, NONINV_MEAN = (f"MDC_PRESS_BLD_NONINV_{part}" for part in ("SYS", "DIA", "MEAN"))
ART_WAVE = "MDC_PRESS_BLD_ART"
ART_SYS, ART_DIA, ART_MEAN = (f"MDC_PRESS_BLD_ART_{part}" for part in ("SYS", "DIA", "MEAN"))
BODY_TEMPERATURE = "MDC_TEMP_BODY"
GLUCOSE = "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD"
POTASSIUM = "WDL_CONC_K_BLOOD"  # 11073-10101 has the potassium of a dialysate
QTC = "MDC_ECG_TIME_PD_QTc"
RR_INTERVAL = "MDC_ECG_TIME_PD_RR_GL"
BATTERY_CHARGE = "MDC_ATTR_VAL_BATT_CHARGE"
# What a resting sensor feels is positive on the axis that points up. Along its own axes, or along those of the body that wears it.
ACCELERATION_X, ACCELERATION_Y, ACCELERATION_Z = "WDL_ACCELERATION_X", "WDL_ACCELERATION_Y", "WDL_ACCELERATION_Z"
ACCELERATION_LEFT = "WDL_ACCELERATION_LEFT"
ACCELERATION_HEAD = "WDL_ACCELERATION_HEAD"
ACCELERATION_FRONT = "WDL_ACCELERATION_FRONT"

ASYSTOLE = "MDC_EVT_ECG_ASYSTOLE"
V_FIB = "MDC_EVT_ECG_V_FIB"
V_TACHY = "MDC_EVT_ECG_V_TACHY"
BRADY_EXTREME = "MDC_EVT_ECG_BRADY_EXTREME"
TACHY_EXTREME = "MDC_EVT_ECG_TACHY_EXTREME"
HI_GT_LIM = "MDC_EVT_HI_GT_LIM"
LO_LT_LIM = "MDC_EVT_LO_LT_LIM"
LEADS_OFF = "MDC_EVT_LEADS_OFF"
SIGNAL_LOW = "MDC_EVT_SIG_LO"
ECG_NOISE = "WDL_EVT_ECG_NOISE"
SATURATED = "WDL_EVT_SATURATED"
LINK_LOST = "WDL_EVT_LINK_LOST"
FLOOD = "WDL_EVT_FLOOD"

EVT_CONNECTED = "WDL_EVT_CONNECTED"
EVT_DISCONNECTED = "WDL_EVT_DISCONNECTED"
EVT_SILENT = "WDL_EVT_SILENT"
EVT_HEARD_AGAIN = "WDL_EVT_HEARD_AGAIN"
EVT_CLOCK_WRONG = "WDL_EVT_CLOCK_WRONG"
EVT_CLOCK_STEP = "WDL_EVT_CLOCK_STEP"
EVT_FIRMWARE = "WDL_EVT_FIRMWARE"
EVT_BATTERY_LOW = "MDC_EVT_BATT_LO"
EVT_BUTTON = "WDL_EVT_BUTTON"
EVT_FAULT = "WDL_EVT_FAULT"
EVT_OXIMETER_STATUS = "WDL_EVT_OXIMETER_STATUS"
EVT_STREAM_STOPPED = "WDL_EVT_STREAM_STOPPED"
EVT_DEVICE_SEEN = "WDL_EVT_DEVICE_SEEN"
EVT_GATEWAY_STATUS = "WDL_EVT_GATEWAY_STATUS"
EVT_THROTTLED = "WDL_EVT_THROTTLED"
EVT_THROTTLE_ENDED = "WDL_EVT_THROTTLE_ENDED"
EVT_ADAPTER_LOST = "WDL_EVT_ADAPTER_LOST"
EVT_GATEWAY_SHORT = "WDL_EVT_GATEWAY_SHORT"
EVT_ALARM_HELD = "WDL_EVT_ALARM_HELD"
EVT_ALARM_DOUBTED = "WDL_EVT_ALARM_DOUBTED"
EVT_BIGEMINY, EVT_TRIGEMINY = "WDL_EVT_ECG_BIGEMINY", "WDL_EVT_ECG_TRIGEMINY"
EVT_COUPLET, EVT_V_RUN = "WDL_EVT_ECG_COUPLET", "WDL_EVT_ECG_V_RUN"
EVT_PAUSE, EVT_NO_CAPTURE = "WDL_EVT_ECG_PAUSE", "WDL_EVT_ECG_NO_CAPTURE"
EVT_ATRIAL_FIB = "WDL_EVT_ECG_ATRIAL_FIB"
RHYTHM_EPISODES = (EVT_BIGEMINY, EVT_TRIGEMINY, EVT_COUPLET, EVT_V_RUN, EVT_PAUSE, EVT_NO_CAPTURE, EVT_ATRIAL_FIB)

LINK_LOSS = "link_loss"
DEVICE_RESTART = "device_restart"
AGENT_RESTART = "agent_restart"
SPOOL_FULL = "spool_full"
SPOOL_CORRUPT = "spool_corrupt"
QUEUE_OVERFLOW = "queue_overflow"
GAP_REASONS = frozenset({LINK_LOSS, DEVICE_RESTART, AGENT_RESTART, SPOOL_FULL, SPOOL_CORRUPT, QUEUE_OVERFLOW})

_ELEC_POTL = 131328  # MDC_ECG_ELEC_POTL_x = 131328 + lead number (11073-10101, annex A)
_LEADS: tuple[tuple[str, int], ...] = (
    ("I", 1), ("II", 2), ("V1", 3), ("V2", 4), ("V3", 5), ("V4", 6), ("V5", 7), ("V6", 8),
    ("III", 61), ("AVR", 62), ("AVL", 63), ("AVF", 64), ("V", 67), ("MCL", 75), ("MCL1", 76),
)  # fmt: skip


# What an electrocardiograph measures by itself: the part of the code, names, LOINC.
_ECG_INTERVALS = (
    ("P", "P wave duration", "P 波时限", None),
    ("PR", "PR interval", "PR 间期", "8625-6"),
    ("QRS", "QRS duration", "QRS 时限", "8633-0"),
    ("QT", "QT interval", "QT 间期", "8634-8"),
    ("QTc", "QT interval, corrected", "校正 QT 间期", "8636-3"),
)
_ECG_AXES = (
    ("P", "P axis", "P 电轴", "8626-4"),
    ("QRS", "QRS axis", "QRS 电轴", "8632-2"),
    ("T", "T axis", "T 电轴", "8638-9"),
)


def lead(name: str) -> str:
    """`II` -> `MDC_ECG_ELEC_POTL_II`; ValueError for a lead that the table does not have."""
    code = f"MDC_ECG_ELEC_POTL_{name.upper()}"
    if code not in TERMS:
        msg = f"ECG lead {name!r}: expected one of {', '.join(n for n, _ in _LEADS)}"
        raise ValueError(msg)
    return code


def _lead_name(name: str) -> str:
    return f"a{name[1:]}" if name.startswith("AV") else name


def _terms() -> "Iterable[Term]":
    for name, n in _LEADS:
        shown = _lead_name(name)
        yield Term(
            f"MDC_ECG_ELEC_POTL_{name}",
            TermKind.LEAD,
            f"ECG lead {shown}",
            f"心电 {shown} 导联",
            _ELEC_POTL + n,
            unit="uV",
            short=shown,
        )
    metric, alarm, event = TermKind.METRIC, TermKind.ALARM, TermKind.EVENT
    yield Term(HEART_RATE, metric, "Heart rate", "心率", 147842, "8867-4", "/min", (0, 350), "HR")
    yield Term(
        PULSE_RATE,
        metric,
        "Pulse rate (oximeter)",
        "脉率·血氧",
        149530,
        "8889-8",
        "/min",
        (0, 350),
        "PR",
    )
    yield Term(PULSE_RATE_CUFF, metric, "Pulse rate (cuff)", "脉率·袖带", 149546, "8867-4", "/min", (0, 350), "PR")
    yield Term(SPO2, metric, "Oxygen saturation", "血氧饱和度", 150456, "59408-5", "%", (0, 100), "SpO₂")
    yield Term(PLETH, metric, "Plethysmogram", "容积脉搏波", 150452, None, "1", None, "Pleth")
    yield Term(RESPIRATION_RATE, metric, "Respiration rate", "呼吸率", 151578, "76270-8", "/min", (0, 150), "RR")
    yield Term(NONINV_SYS, metric, "Systolic pressure", "收缩压", 150021, "8480-6", "mm[Hg]", (20, 300), "SYS")
    yield Term(NONINV_DIA, metric, "Diastolic pressure", "舒张压", 150022, "8462-4", "mm[Hg]", (10, 250), "DIA")
    yield Term(
        NONINV_MEAN,
        metric,
        "Mean pressure",
        "平均压",
        150023,
        "8478-0",
        "mm[Hg]",
        (10, 280),
        "MAP",
    )
    yield from _body_terms()
    yield Term(
        GLUCOSE,
        metric,
        "Glucose (capillary blood)",
        "血糖·毛细血管",
        160184,
        "32016-8",
        "mg/dL",
        (0, 1000),
        "Glu",
    )
    yield Term("MDC_MASS_BODY_ACTUAL", metric, "Body weight", "体重", 188736, "29463-7", "kg", (0.2, 500), "Wt")
    yield Term(RR_INTERVAL, metric, "RR interval", "RR 间期", unit="ms", plausible=(100, 10_000), short="RRI")
    yield Term(BATTERY_CHARGE, metric, "Battery charge", "电池电量", 67996, None, "%", (0, 100), "Batt")
    for part, shown, zh, loinc in _ECG_INTERVALS:
        yield Term(f"MDC_ECG_TIME_PD_{part}", metric, shown, zh, None, loinc, "ms", (0, 2000), part)
    for part, shown, zh, loinc in _ECG_AXES:
        yield Term(f"MDC_ECG_ANGLE_{part}_FRONT", metric, shown, zh, None, loinc, "deg", (-360, 360), f"{part}°")
    for part, shown, zh in (
        ("STATEMENT", "ECG interpretation", "心电图诊断"),
        ("SUMMARY", "ECG summary", "心电图结论"),
        ("COMMENT", "ECG comment", "心电图备注"),
    ):
        yield Term(f"MDC_ECG_INTERPRETATION_{part}", metric, shown, zh)
    for code, shown, zh in (
        (ACCELERATION_X, "Acceleration, X", "加速度 X"),
        (ACCELERATION_Y, "Acceleration, Y", "加速度 Y"),
        (ACCELERATION_Z, "Acceleration, Z", "加速度 Z"),
        (ACCELERATION_LEFT, "Acceleration to the patient's left", "加速度·向左"),
        (ACCELERATION_HEAD, "Acceleration towards the head", "加速度·向头"),
        (ACCELERATION_FRONT, "Acceleration to the patient's front", "加速度·向前"),
    ):
        yield Term(code, metric, shown, zh, unit="[g]", plausible=(-16, 16))
    yield Term(V_FIB, alarm, "Ventricular fibrillation", "心室颤动", short="VF")
    yield Term(V_TACHY, alarm, "Ventricular tachycardia", "室性心动过速", 199832, short="VT")
    yield Term(ASYSTOLE, alarm, "Asystole", "心脏停搏", 199684, short="ASYS")
    yield Term(BRADY_EXTREME, alarm, "Extreme bradycardia", "极度心动过缓", 199694, short="BRADY")
    yield Term(TACHY_EXTREME, alarm, "Extreme tachycardia", "极度心动过速", 199730, short="TACHY")
    yield Term(HI_GT_LIM, alarm, "Above the limit", "高于上限", 196650)
    yield Term(LO_LT_LIM, alarm, "Below the limit", "低于下限", 196672)
    yield Term(LEADS_OFF, alarm, "ECG leads off", "心电导联脱落", 196882, short="LEADS")
    yield Term(SIGNAL_LOW, alarm, "ECG signal flat", "心电信号平直", 196988)
    yield Term(ECG_NOISE, alarm, "ECG too noisy to judge", "心电干扰无法判断")
    yield Term(SATURATED, alarm, "ECG amplifier saturated", "心电放大器饱和")
    yield Term(LINK_LOST, alarm, "Connection lost", "连接中断")
    yield Term(EVT_CONNECTED, event, "Device connected", "设备已连接")
    yield Term(EVT_DISCONNECTED, event, "Device disconnected", "设备已断开")
    yield Term(EVT_SILENT, event, "Device is silent", "设备无信号")
    yield Term(EVT_HEARD_AGAIN, event, "Device is heard again", "设备信号恢复")
    yield Term(EVT_CLOCK_WRONG, event, "Device clock is wrong", "设备时钟错误")
    yield Term(EVT_CLOCK_STEP, event, "Device clock stepped", "设备时钟跳变")
    yield Term(EVT_FIRMWARE, event, "Firmware version", "固件版本")
    yield Term(EVT_BATTERY_LOW, event, "Battery low", "电池电量低", 196802)
    yield Term(EVT_BUTTON, event, "Button pressed", "按键")
    yield Term(EVT_FAULT, event, "Data that cannot be read", "无法解析的数据")
    yield Term(EVT_OXIMETER_STATUS, event, "Oximeter sensor state", "血氧传感器状态")
    yield Term(EVT_STREAM_STOPPED, event, "Device has stopped a measurement", "设备已停止一项测量")
    yield Term(EVT_DEVICE_SEEN, event, "Device has made itself known", "设备已自报身份")
    yield Term(EVT_GATEWAY_STATUS, event, "State of the gateway", "网关状态")
    yield from _gateway_terms()
    yield from _pace_terms()
    yield from _screening_terms()


def _body_terms() -> "Iterable[Term]":
    """Of breathing and of an arterial line; what else is measured of the body and its blood."""
    metric = TermKind.METRIC
    yield Term(ART_WAVE, metric, "Arterial pressure", "动脉血压波形", unit="mm[Hg]", short="ABP")
    yield Term(IMPEDANCE_WAVE, metric, "Thoracic impedance", "胸阻抗呼吸波", unit="Ohm", short="Resp")
    yield Term(PULSE_RATE_ART, metric, "Pulse rate (artery)", "脉率·动脉", 149522, "8889-8", "/min", (0, 350), "PR")
    for code, shown, zh, number, loinc, plausible, short in (
        (ART_SYS, "Arterial systolic pressure", "动脉收缩压", 150033, "76215-3", (0, 350), "ABPs"),
        (ART_DIA, "Arterial diastolic pressure", "动脉舒张压", 150034, "76213-8", (0, 300), "ABPd"),
        (ART_MEAN, "Arterial mean pressure", "动脉平均压", 150035, "76214-6", (0, 320), "ABPm"),
    ):
        yield Term(code, metric, shown, zh, number, loinc, "mm[Hg]", plausible, short)
    yield Term(BODY_TEMPERATURE, metric, "Body temperature", "体温", 150364, "8310-5", "Cel", (15, 45), "T")
    yield Term("MDC_TEMP_SKIN", metric, "Skin temperature", "皮肤温度", 150388, None, "Cel", (0, 50), "Tskin")
    yield Term(POTASSIUM, metric, "Potassium (blood)", "血钾", None, "6298-4", "mmol/L", (0.5, 15), "K⁺")


def _gateway_terms() -> "Iterable[Term]":
    event = TermKind.EVENT
    yield Term(EVT_GATEWAY_SHORT, event, "The gateway runs short of processor time or memory", "网关处理器或内存不足")
    yield Term(
        EVT_ADAPTER_LOST, event, "The adapter's program has ended and is started again", "适配程序已终止并重新启动"
    )


def _pace_terms() -> "Iterable[Term]":
    yield Term(FLOOD, TermKind.ALARM, "Device sends too much", "设备发送过量")
    yield Term(EVT_THROTTLED, TermKind.EVENT, "Sends too fast: held back", "发送过快已限速")
    yield Term(EVT_THROTTLE_ENDED, TermKind.EVENT, "Keeps its pace again", "发送速率恢复正常")


def _screening_terms() -> "Iterable[Term]":
    """What the screening tells beside its alarms."""
    event = TermKind.EVENT
    yield Term(EVT_ALARM_HELD, event, "Alarm held back: the pulse speaks against it", "报警因脉搏不符已暂缓")
    yield Term(EVT_ALARM_DOUBTED, event, "Alarm raised although the pulse speaks against it", "脉搏不符仍已报警")
    for code, en, zh in (
        (EVT_BIGEMINY, "Ventricular bigeminy", "室性早搏二联律"),
        (EVT_TRIGEMINY, "Ventricular trigeminy", "室性早搏三联律"),
        (EVT_COUPLET, "Ventricular couplet", "成对室性早搏"),
        (EVT_V_RUN, "Run of ventricular beats", "连发室性搏动"),
        (EVT_PAUSE, "Pause", "长 RR 间期"),
        (EVT_NO_CAPTURE, "Pacing pulse without a beat", "起搏脉冲未夺获"),
        (EVT_ATRIAL_FIB, "Atrial fibrillation or flutter", "心房颤动或扑动"),
    ):
        yield Term(code, event, en, zh)


# One table of what is alarmed about; any other code is general.
_CATEGORIES: "Mapping[AlarmCategory, frozenset[str]]" = {
    AlarmCategory.CARDIAC: frozenset({
        V_FIB, V_TACHY, ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME, HEART_RATE, PULSE_RATE, RR_INTERVAL,
        PULSE_RATE_CUFF, PULSE_RATE_ART, NONINV_SYS, NONINV_DIA, NONINV_MEAN, ART_SYS, ART_DIA, ART_MEAN,
    }),
    AlarmCategory.VENTILATION: frozenset({RESPIRATION_RATE}),
    AlarmCategory.OXYGEN: frozenset({SPO2}),
    AlarmCategory.TEMPERATURE: frozenset({BODY_TEMPERATURE, "MDC_TEMP_SKIN"}),
    AlarmCategory.EQUIPMENT: frozenset({LEADS_OFF, SIGNAL_LOW, ECG_NOISE, SATURATED, LINK_LOST, FLOOD}),
}  # fmt: skip


def _sorted_in(term: Term) -> Term:
    category = next((name for name, codes in _CATEGORIES.items() if term.code in codes), AlarmCategory.GENERAL)
    return replace(term, category=category)


TERMS: "Mapping[str, Term]" = MappingProxyType({term.code: _sorted_in(term) for term in _terms()})
