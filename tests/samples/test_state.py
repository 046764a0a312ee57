from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.samples import State

states = st.builds(
    State,
    epoch=st.integers(0, 100),
    seed=st.one_of(st.integers(0, 2**128), st.lists(st.integers(0, 2**70)).map(tuple)),
    shuffle=st.just("window"),
    lanes=st.just(3),
    blocks=st.integers(1, 9),
    positions=st.tuples(*(st.integers(0, 10**13),) * 3),
    fingerprint=st.text(),
)


@given(states)
def test_a_state_is_json_and_small(state: State) -> None:
    text = json.dumps(state.to_json())
    assert State.from_json(json.loads(text)) == state


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch": -1}, "epoch must be at least 0, not -1"),
        ({"epoch": "1"}, "epoch must be a whole number, not '1'"),
        ({"shuffle": "all"}, "there is no shuffle 'all'"),
        ({"positions": [1, 2]}, "2 positions for 1 lanes"),
        ({"positions": [-1]}, "every position must be at least 0, not -1"),
        ({"positions": 5}, "positions must be a list and fingerprint a text"),
        ({"seed": None}, "seed must be a whole number"),
        ({"lanes": 0}, "lanes must be at least 1"),
        ({"more": 1}, "it must have epoch, seed, shuffle, lanes, blocks, positions, fingerprint"),
    ],
)
def test_what_is_no_state_is_refused(changed: dict[str, Any], message: str) -> None:
    document = State(0, 1, "none", 1, 1, (0,), "f").to_json()
    with pytest.raises(ValueError, match=f"no state of samples: .*{message}"):
        State.from_json({**document, **changed})


@pytest.mark.parametrize("document", [None, 5, [], "{}", {}])
def test_other_things_are_no_state(document: object) -> None:
    with pytest.raises(ValueError, match="no state of samples: it must have epoch"):
        State.from_json(document)
