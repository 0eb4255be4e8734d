"""How long a Pod may stay on a node with taints."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.clusters.local.controllers.evictions import patience

TAINT = {"key": "k", "value": "v", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0.0),
        ([{"key": "k", "operator": "Exists", "effect": "NoExecute"}], math.inf),
        ([{"operator": "Exists"}], math.inf),
        ([{"key": "k", "value": "other", "effect": "NoExecute"}], 0.0),
        ([{"key": "k", "value": "v", "effect": "NoSchedule"}], 0.0),
        ([{"key": "k", "value": "v", "effect": "NoExecute", "tolerationSeconds": 30}], 30.0),
        ([{"operator": "Exists", "tolerationSeconds": 30}, {"operator": "Exists", "tolerationSeconds": -1}], 0.0),
    ],
)
def test_what_a_toleration_gives(tolerations, seconds):
    assert patience({"spec": {"tolerations": tolerations}}, {"spec": {"taints": [TAINT]}}) == seconds


@given(st.lists(st.sampled_from(["NoSchedule", "PreferNoSchedule"])))
def test_other_taints_take_nobody_away(effects):
    taints = [{"key": f"k{index}", "effect": effect} for index, effect in enumerate(effects)]
    assert patience({"spec": {}}, {"spec": {"taints": taints}}) == math.inf
