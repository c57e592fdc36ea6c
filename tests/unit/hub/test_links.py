"""When a link counts as lost: the hub's silence watch, on times alone."""

from collections.abc import Sequence

from hub.ingest.links import BacklogChange, LinkChange, LinkState, LinkWatch

S = 1_000_000_000


def states(changes: Sequence[LinkChange]) -> list[tuple[str, LinkState]]:
    return [(change.device, change.state) for change in changes]


def watch() -> LinkWatch:
    links = LinkWatch()
    links.connected(1, 7, "gateway-1")
    return links


def test_a_device_that_stops_is_silent_after_two_seconds():
    links = watch()
    assert states(links.arrived(1, ["a"], 0)) == [("a", LinkState.LIVE)]
    assert links.look(2 * S - 1) == []
    assert states(links.look(2 * S)) == [("a", LinkState.DEVICE_SILENT)]
    assert links.look(3 * S) == []


def test_the_gateway_is_lost_when_its_last_stream_has_ended():
    links = watch()
    links.connected(1, 7, "gateway-1")
    links.arrived(1, ["a"], 0)
    links.disconnected(1)
    assert states(links.look(2 * S)) == [("a", LinkState.DEVICE_SILENT)]
    links.disconnected(1)
    assert states(links.look(2 * S + 1)) == [("a", LinkState.GATEWAY_LOST)]


def test_data_make_a_lost_link_live_again():
    links = watch()
    links.arrived(1, ["a"], 0)
    links.look(2 * S)
    assert states(links.arrived(1, ["a"], 3 * S)) == [("a", LinkState.LIVE)]


def test_a_device_that_measures_every_ten_seconds_is_not_silent_between_two_readings():
    links = watch()
    for n in range(20):
        links.arrived(1, ["slow"], n * 10 * S)
        if n > 3:
            assert links.look(n * 10 * S + 9 * S) == []


def test_a_new_listener_gets_every_present_state():
    links = watch()
    links.arrived(1, ["a", "b"], 0)
    links.arrived(1, ["b"], S)
    links.look(int(2.5 * S))
    assert states(list(links.present())) == [("a", LinkState.DEVICE_SILENT), ("b", LinkState.LIVE)]


def test_a_backlog_is_told_at_once_and_its_end_with_the_next_look():
    links = watch()
    waits, whole = BacklogChange(7, "gateway-1", waits=True), BacklogChange(7, "gateway-1", waits=False)
    assert links.backlog(1, waits=True) == [waits]
    assert (links.backlog(1, waits=True), links.settled()) == ([], [])
    assert list(links.backlogs()) == [waits]
    assert links.backlog(1, waits=False) == []
    assert (links.settled(), links.settled()) == ([whole], [])
    assert list(links.backlogs()) == [whole]


def test_pieces_in_the_wrong_order_are_one_backlog():
    links = watch()
    told = [change for piece in range(10) for change in links.backlog(1, waits=piece % 2 == 0)]
    assert [change.waits for change in (*told, *links.settled())] == [True, False]
