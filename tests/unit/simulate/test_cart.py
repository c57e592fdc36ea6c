"""The pauses of a simulated cart: no fault that was asked for is missed."""

import threading

from firmware_adapters.simulate.cart import FAULTS, leave_files
from firmware_adapters.simulate.faults import Switches

PAUSE_S = 60.0


def test_a_fault_that_is_asked_for_while_a_file_is_written_is_in_the_next_file_at_once():
    switches, stopped, pulled = Switches(FAULTS), threading.Event(), list[bool]()

    def leave() -> None:
        pulled.append(switches.holds("pull-lead"))
        if len(pulled) == 1:
            switches.take("pull-lead 30")  # what this file says is settled already
        else:
            stopped.set()

    cart = threading.Thread(target=leave_files, args=(leave, switches, stopped, PAUSE_S), daemon=True)
    cart.start()
    cart.join(PAUSE_S / 6)
    assert pulled == [False, True]
