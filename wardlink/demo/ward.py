"""The ward of the demo: six beds whose devices come in through every kind of door, on real recordings.

Excerpts that come with the checkout are played unless a folder with the full recordings is given. What each shows is in
tests/captures/ATTRIBUTION.md.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from protocols.ecgfile.wfdb import parse_header
from wardlink.demo.beds import DemoBed, DemoLimit
from wardlink.demo.installation import GATEWAY
from wardlink.demo.rigs.cart import CartRig
from wardlink.demo.rigs.monitors import HttpsRig, MqttRig
from wardlink.demo.rigs.patch import PatchRig
from wardlink.demo.rigs.rig import Recording
from wardlink.demo.rigs.serial import amplifier, oximeter
from wardlink.demo.rigs.straps import StrapRig

# Bed 1's patient is wired up meanwhile, so that the fibrillation begins a minute after somebody looks.
_WIRING_S: Final = 38.0
_AWAY_S: Final = 8.0
# Bed 3's recording is short: a hole in the strip each time, and not an alarm because its monitor is away.
_HOLE_S: Final = 2.0
BEDS: Final = 6
_CART_FILES: Final = "files/aecg/*_example.xml"


class Recordings:
    """Where recordings lie: the excerpts in `captures`, or the whole ones below `full`."""

    def __init__(self, captures: Path, full: Path | None) -> None:
        """Neither is looked into yet."""
        self.captures, self._full = captures, full

    def of(self, excerpt: str, whole: str, whole_start_s: float = 0.0) -> Recording:
        """An excerpt, or the whole recording that it is of; FileNotFoundError that names the file and how to have it."""
        path = self.captures / excerpt if self._full is None else self._full / whole
        if not path.with_suffix(".hea").exists():
            msg = f"There is no recording {path}."
            if self._full is not None:
                msg += f" Fetch it with: wardlink recordings get {whole.partition('/')[0]} --to {self._full}"
            raise FileNotFoundError(msg)
        return Recording(path, 0.0 if self._full is None else whole_start_s, _AWAY_S)

    def files(self, *patterns: str) -> tuple[Path, ...]:
        """Files of devices among the full recordings, which somebody has put there; none among the excerpts."""
        if self._full is None:
            return ()
        return tuple(path for pattern in patterns for path in sorted(self._full.glob(pattern))[:1])


def done_without(beds: list[DemoBed], full: Path | None) -> str:
    """What these beds would play besides if it lay below `full`, and where to put it; "" for nothing."""
    carts = [bed.label for bed in beds if any(isinstance(rig, CartRig) and not rig.files for rig in bed.rigs)]
    if full is None or not carts:
        return ""
    return f"There is no {full / _CART_FILES}: the cart of bed {carts[0]} leaves its own ECG alone."


def ward(recordings: Recordings, beds: int = BEDS) -> list[DemoBed]:
    """The first `beds` of the ward; FileNotFoundError for a recording that is not there."""
    rate = DemoLimit("MDC_ECG_HEART_RATE", "/min", 50, 120)
    fever = DemoLimit("MDC_TEMP_BODY", "Cel", 35.0, 38.5)
    saturation = DemoLimit("MDC_PULS_OXIM_SAT_O2", "%", 98)  # high, so that this patient's fall is an alarm
    return [
        _fibrillation(recordings),
        DemoBed("2", "Wang Demo", "female", date(1971, 8, 9), (_strap(recordings),), (rate,)),
        DemoBed("3", "Li Demo", "male", date(1963, 1, 17), (_twelve_leads(recordings),), (rate,)),
        DemoBed("4", "Chen Demo", "female", date(1940, 4, 2), (_patch(recordings),), (rate, fever)),
        DemoBed("5", "Zhao Demo", "male", date(1955, 6, 30), (_desaturation(recordings),), (rate, saturation)),
        DemoBed("6", "Liu Demo", "female", date(1948, 11, 23), (_cart(recordings),), ()),
    ][:beds]


def _fibrillation(recordings: Recordings) -> DemoBed:
    both = recordings.of("cinc2015-f545l-vf", "cinc2015/f545l")
    ecg_alone = recordings.of("vfdb-419-vf", "vfdb/419")
    length_s = sum(_length_s(r) for r in (both, ecg_alone)) + 2 * _AWAY_S
    readings = recordings.captures / "cinc2015-f545l-vf.readings.csv"
    rigs = (
        amplifier("amplifier-1", (both, ecg_alone), {"1": "II", "2": "V1"}, lead_in_s=_WIRING_S),
        oximeter(
            "oximeter-1",
            Recording(both.path, both.start_s, 0.0),
            readings=readings,
            lead_in_s=_WIRING_S,
            then_off_s=length_s - _length_s(both),
        ),
    )
    limits = (DemoLimit("MDC_ECG_HEART_RATE", "/min", 50, 120), DemoLimit("MDC_PULS_OXIM_SAT_O2", "%", 90))
    return DemoBed("1", "Zhang Demo", "male", date(1959, 3, 1), rigs, limits)


def _strap(recordings: Recordings) -> StrapRig:
    tachycardia = recordings.of("mitdb-205-vt", "mitdb/205", 240.0)
    bigeminy = recordings.of("mitdb-200-bigeminy", "mitdb/200")
    return StrapRig("strap-2", "A0:9E:1A:00:00:01", "II", (tachycardia, bigeminy))


def _twelve_leads(recordings: Recordings) -> MqttRig:
    numbers = recordings.captures / "bidmc-11-desaturation.numerics.csv"
    ecg = replace(recordings.of("ecg12-A0005-pvc", "ecg12/A0005"), loop_pause_s=_HOLE_S)
    return MqttRig("monitor-3", ecg, numbers, gateway=GATEWAY)


def _patch(recordings: Recordings) -> PatchRig:
    return PatchRig("patch-4", "thermometer-4", recordings.of("mitdb-202-af", "mitdb/202", 1080.0))


def _desaturation(recordings: Recordings) -> HttpsRig:
    numbers = recordings.captures / "bidmc-11-desaturation.numerics.csv"
    return HttpsRig("monitor-5", Recording(numbers.with_name("bidmc-11-desaturation")), numbers, signals=False)


def _cart(recordings: Recordings) -> CartRig:
    own = recordings.of("ludb-101-af", "ludb/101")
    return CartRig("cart-6", (own.path,), recordings.files(_CART_FILES))


def _length_s(recording: Recording) -> float:
    header = parse_header(recording.path.with_suffix(".hea").read_bytes(), recording.path.name)
    return (header.n_samples or 0) / header.fs_hz - recording.start_s
