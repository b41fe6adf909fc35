"""Sensor channels on a body: every place that a dataset names is drawn or said not to be, with what is used of it."""

from dataclasses import asdict

import pytest

from harembed.data import (
    daphnet,
    dsads,
    hapt,
    motionsense,
    opportunity,
    pamap2,
    skoda,
    uci_har,
    unimib_shar,
    watch,
    wisdm,
)
from harembed.report.body import body, unknown_places
from harembed.report.facts import sensors, sensors_in_words
from harembed.report.html import _body

DRAWN = {m.__name__.split(".")[-1]: m.CHANNELS
         for m in (daphnet, dsads, hapt, motionsense, opportunity, pamap2, uci_har, unimib_shar, watch, wisdm)}
USED = (0, 2, 7, 40)  # of dsads: torso acc x and z, torso mag y, left leg gyro y


def of(channels, used=()) -> list[dict]:
    return sensors([asdict(c) for c in channels], used)


@pytest.mark.parametrize("name", DRAWN)
def test_every_place_of_a_dataset_is_drawn(name):
    found = of(DRAWN[name], (0,))
    assert unknown_places(found) == []
    drawing = body(found)
    for place in found:
        assert f">{place['place']}</text>" in drawing
        used = sum(c["used"] for c in place["channels"])
        assert f">{used} of {len(place['channels'])}</text>" in drawing
    # A letter for each channel that is the x, y or z of a vector, and the same picture from the same facts.
    letters = sum(c["axis"] != "" for place in found for c in place["channels"])
    assert sum(drawing.count(f">{axis}</text>") for axis in "xyz") == letters
    assert body(found) == drawing


def test_what_is_used_is_filled():
    more = body(of(dsads.CHANNELS, USED)).count("fill: #2563eb")
    assert more - body(of(dsads.CHANNELS)).count("fill: #2563eb") == len(USED) + 2  # and the dots of two places


@pytest.mark.parametrize("channels, words", [
    (skoda.CHANNELS, "where sensor1, sensor2, sensor3"),
    ([watch.Channel("ax", "acc", "g", 1.0)], "do not say where on the body")])
def test_unknown_places_are_said(channels, words):
    found = _body(of(channels, (0,)))
    assert found["body"] is None and words in found["no_body"]
    assert found["channels_used"] == 1 and found["channels_all"] == len(channels)


def test_used_channels_in_words():
    assert sensors_in_words(of(dsads.CHANNELS, USED)) == "torso acc xz mag y; left leg gyro y"
    assert sensors_in_words(of(opportunity.CHANNELS, (len(opportunity.CHANNELS) - 1,))) == "R-SHOE compass"
