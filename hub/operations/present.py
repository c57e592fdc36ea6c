"""Operations as JSON."""

from typing import TypeAlias

from hub.operations.domain import FunctionTold, RoleTold, Told

Json: TypeAlias = dict[str, object]


def told_json(told: Told) -> Json:
    """The whole page."""
    return {
        "span": str(told.span),
        "roles": [_role_json(role) for role in told.roles],
        "functions": [_function_json(function) for function in told.functions],
    }


def _role_json(role: RoleTold) -> Json:
    return {
        "role": role.role,
        "up": role.is_up,
        "minutes": role.minutes,
        "up_minutes": role.up_minutes,
        "figures": role.figures,
    }


def _function_json(told: FunctionTold) -> Json:
    return {
        "function": told.function,
        "calls": told.calls,
        "failed": told.failed,
        "p50_ms": _ms(told.p50_s),
        "p95_ms": _ms(told.p95_s),
        "available": told.available,
        "minutes": told.minutes,
        "down_minutes": told.down_minutes,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
