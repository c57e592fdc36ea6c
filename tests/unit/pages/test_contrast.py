"""Text can be read and lines can be seen: contrast of the tokens' pairs after WCAG 2.2, 1.4.3 and 1.4.11."""

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).parents[3] / "wardlink" / "web" / "static" / "tokens.css"

TEXT, LINE = 4.5, 3.0
THEMES = ("night", "day")
PAIRS = [
    *[(ink, ground, TEXT) for ink in ("ink", "ink-2", "ink-3", "accent") for ground in ("ground", "panel", "panel-2")],
    *[(ink, "panel", TEXT) for ink in ("ecg", "spo2", "resp", "art", "nibp", "temp", "stale", "tech", "low", "warn", "ok")],
    *[(ink, "paper", LINE) for ink in ("ecg", "spo2", "resp", "art", "stale", "high-line", "ink")],
    ("ecg", "accent-2", LINE),
    *[(ink, "hatch", TEXT) for ink in ("ink", "ink-2")],
    *[(line, "panel", LINE) for line in ("high-line", "medium-line", "low-line", "tech-line", "edge")],
    ("high-ink", "high", TEXT), ("high-ink", "high-dim", TEXT), ("high-text", "high-2", TEXT),
    ("medium-ink", "medium", TEXT), ("medium-dim-ink", "medium-dim", TEXT), ("medium-text", "medium-2", TEXT),
    ("accent-ink", "accent", TEXT), ("accent-ink", "accent-over", TEXT), ("ink", "accent-2", TEXT), ("accent", "accent-2", TEXT),
    ("ok", "ok-2", TEXT), ("tech", "panel-2", TEXT), ("ground", "ink", TEXT), ("focus", "panel", LINE), ("focus", "ground", LINE),
]  # fmt: skip


def tokens(theme: str) -> dict[str, str]:
    block = re.search(rf'\[data-theme="{theme}"\] \{{(.*?)\n\}}', TOKENS.read_text(), re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block[1]))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_both_themes_have_the_same_tokens() -> None:
    assert set(tokens("night")) == set(tokens("day"))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS, ids=str)
def test_a_pair_has_enough_contrast(theme: str, ink: str, ground: str, least: float) -> None:
    found = tokens(theme)
    dark, light = sorted((luminance(found[ink]), luminance(found[ground])))
    assert (light + 0.05) / (dark + 0.05) >= least


def test_only_the_tokens_file_names_colours() -> None:
    literal = re.compile(r"#[0-9a-fA-F]{3,8}\b")
    # White under a pointer and the dark half of the door are no signal; they are listed, so that no other slips in.
    allowed = {"day.css": {"#101b24", "#e8eef2", "#4ade80", "#fff", "#1c2f3b"}, "ward.css": {"#fff"}}
    for path in TOKENS.parent.glob("*.css"):
        if path != TOKENS:
            assert set(literal.findall(path.read_text())) <= allowed.get(path.name, set()), path.name


def test_flashing_follows_iec_60601_1_8() -> None:
    css = (TOKENS.parent / "ward.css").read_text()
    period = {m[1]: float(m[2]) for m in re.finditer(r"\.flash\.p-(\w+) \{ animation: flash-\w+ ([\d.]+)s", css)}
    assert 1.4 <= 1 / period["high"] <= 2.8
    assert 0.4 <= 1 / period["medium"] <= 0.8
    assert set(period) == {"high", "medium"}, "low and technical alarms are steady"
    assert "prefers-reduced-motion" in css


def test_only_the_tokens_file_names_sizes_of_text() -> None:
    # What grows with its tile, what lies on millimetre paper (user units of its drawing) and what is printed have their own measures.
    own = re.compile(r"var\(--text-\d\)|clamp\(.*cq[hw].*\)|min\(.*cq[hw].*\)|3\.6px|\d+pt|inherit")
    for path in TOKENS.parent.glob("*.css"):
        for size in re.findall(r"font-size:\s*([^;}]+)", path.read_text("utf-8")):
            assert own.fullmatch(size.strip()), f"{path.name}: {size}"
