"""The screen of a load: its passwords are such that every hub takes them, whatever chance gives."""

from hub.accounts.strength import password_fault
from wardlink.load.page import new_password


def test_a_hub_takes_any_password_that_is_made_for_it():
    made = {new_password() for _ in range(200)}
    assert len(made) == 200
    assert {password_fault(one, ["nurse"]) for one in made} == {None}
