"""That no method of a service that takes a principal goes without a policy, and that a forgotten one would be found."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module

import hub
from hub.core.policy import declared
from hub.core.principal import Principal


def services() -> Iterator[type]:
    """Every class with an `audit` in a module hub.*.service."""
    for package in pkgutil.iter_modules(hub.__path__, "hub."):
        if not package.ispkg or f"{package.name}.service" not in modules_of(package.name):
            continue
        module = import_module(f"{package.name}.service")
        for _, found in inspect.getmembers(module, inspect.isclass):
            if found.__module__ == module.__name__ and has_audit(found):
                yield found


def modules_of(package: str) -> set[str]:
    return {module.name for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}.")}


def has_audit(service: type) -> bool:
    named = {name for base in service.__mro__ for name in (*vars(base), *inspect.get_annotations(base))}
    return "audit" in named or "self.audit" in inspect.getsource(service)


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
    assert {"AlarmService", "GatewayService"} <= {service.__name__ for service in found}
    assert any(takes_a_principal(method) for service in found for method in vars(service).values())
    assert [name for service in found for name in unguarded(service)] == []


def test_a_method_without_a_policy_would_be_found():
    class Forgetful:
        async def read(self, who: Principal) -> None:
            del who

        async def tidy(self) -> None: ...

        async def _inner(self, who: Principal) -> None:
            del who

    assert unguarded(Forgetful) == ["Forgetful.read"]
