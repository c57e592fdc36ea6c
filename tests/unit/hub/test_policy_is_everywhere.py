"""That no method of a service that takes a principal goes without a policy, and that a forgotten one would be found."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module

import hub
from hub.core.policy import declared
from hub.core.principal import Principal


def services() -> Iterator[type]:
    """Every class of the hub with a method that takes a principal; hub.core is what they are made of."""
    for found in pkgutil.walk_packages(hub.__path__, "hub."):
        if found.name.startswith("hub.core.") or found.name.endswith("__main__"):
            continue
        module = import_module(found.name)
        for _, service in inspect.getmembers(module, inspect.isclass):
            methods = [method for name, method in vars(service).items() if not name.startswith("_")]
            if service.__module__ == module.__name__ and any(takes_a_principal(method) for method in methods):
                yield service


def takes_a_principal(method: object) -> bool:
    if not inspect.isfunction(method):
        return False
    annotated = [p.annotation for p in inspect.signature(inspect.unwrap(method)).parameters.values()][1:2]
    return annotated in ([Principal], ["Principal"], ['"Principal"'])


def unguarded(service: type) -> list[str]:
    """Its public methods that take a principal first and carry no `@policy`."""
    return [
        f"{service.__name__}.{name}"
        for name, method in vars(service).items()
        if not name.startswith("_") and takes_a_principal(method) and declared(method) is None
    ]


def test_every_service_method_that_takes_a_principal_has_a_policy():
    found = list(services())
    assert {"AlarmService", "Admissions", "GatewayList"} <= {service.__name__ for service in found}
    assert [name for service in found for name in unguarded(service)] == []


def test_a_method_without_a_policy_would_be_found():
    class Forgetful:
        async def read(self, who: Principal) -> None:
            del who

        async def tidy(self) -> None: ...

        async def _inner(self, who: Principal) -> None:
            del who

    assert unguarded(Forgetful) == ["Forgetful.read"]
