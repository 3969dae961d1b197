"""The outlet's own life; what goes through it is tested with the portal (tests/portal)."""

from __future__ import annotations

import gc
import weakref

import pytest

from flurry_fast._wire import Outlet

NOBODY = {"bootstrap.servers": "127.0.0.1:9", "socket.timeout.ms": 1000}


def test_settings_that_librdkafka_refuses() -> None:
    with pytest.raises(ValueError, match=r"no\.such"):
        Outlet({"no.such": 1}, "t")
    with pytest.raises(ValueError, match="acks"):
        Outlet({"acks": "many"}, "t")
    with pytest.raises(ValueError, match="idempot"):
        Outlet({"enable.idempotence": True, "acks": 1}, "t")


def test_nobody_answers() -> None:
    outlet = Outlet(NOBODY, "t")
    assert outlet.ask(0.2) is not None
    assert outlet.fatal is None
    assert outlet.waiting >= 0
    assert outlet.notes() == []  # heard of by whoever collects, and nobody does
    outlet.close()


def test_a_capsule_keeps_it_open() -> None:
    outlet = Outlet(NOBODY, "t")
    capsule = outlet.__ff_outlet__()
    with pytest.raises(BufferError):
        outlet.close()
    del capsule
    outlet.close()
    outlet.close()
    for use in (outlet.__ff_outlet__, lambda: outlet.ask(0), lambda: outlet.waiting):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_it_goes_with_its_last_reference() -> None:
    outlet = Outlet(NOBODY, "t")
    gone = weakref.ref(outlet)
    capsule = outlet.__ff_outlet__()
    del outlet
    gc.collect()
    assert gone() is not None
    del capsule
    gc.collect()
    assert gone() is None
