"""Labels of arrows: where they lie, and when they are left out."""

from __future__ import annotations

from trio_messenger.sim.pictures._labels import Labels


def test_labels_do_not_lie_on_one_another() -> None:
    """The second one on the same arrow goes to the next gap; when all are taken there is none."""
    labels = Labels()
    found = [labels.place("gossip", (0, 0), (300, 10), 3, "above") for _ in range(4)]
    assert [label and round(label.x) for label in found] == [50, 150, 250, None]


def test_labels_of_parallel_arrows_keep_apart() -> None:
    """They go elsewhere if the arrow above is too near, and stay if it is not; above and below do not collide."""
    labels = Labels()
    xs = []
    for y, side in [(0, "above"), (5, "above"), (30, "above"), (0, "below")]:
        label = labels.place("gossip", (0, y), (300, y), 3, side)  # type: ignore[arg-type]
        assert label is not None
        xs.append(label.x)
    assert xs == [50, 150, 50, 50]


def test_a_label_lies_along_its_arrow_unless_that_is_steep() -> None:
    """Its slope is that of the arrow, readable from left to right whichever way the arrow goes."""
    angles = []
    for end in [(200, 100), (-200, 100), (100, 200)]:
        label = Labels().place("read", (0, 0), end, 1, "above")
        assert label is not None
        angles.append(label.angle)
    assert angles == [27, -27, 0]


def test_a_label_that_is_longer_than_its_arrow_is_left_out() -> None:
    """It would hide the arrow's ends."""
    assert Labels().place("a_very_long_type", (0, 0), (80, 5), 1, "above") is None
    assert Labels().place("a_very_long_type", (0, 0), (160, 5), 1, "above") is not None
