"""The policy file: defaults, what is refused and how it is named."""

from pathlib import Path

import pytest

from returnml.policy.document import Costs, Effect, LeastCost, Policy, PolicyError, Segment, Thresholds, read_policy

FULL = """
exploration_share = 0.02
[costs]
freight_cents = 500
[product_groups.shoes]
markdown_share = 0.3
[effects.review]
prevented_share = 0.5
deterred_share = 0.1
cost_cents = 200
[rule]
kind = "thresholds"
nudge = 0.4
restrict = 0.9
[[segments]]
name = "abroad, on account"
where = { country = ["FR", "ES"], payment_method = ["invoice"] }
rule = { kind = "least_cost", actions = ["allow", "review"] }
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "policy.toml"
    file.write_text(text)
    return file


def test_a_file_states_what_differs_from_the_defaults(tmp_path):
    policy = read_policy(written(tmp_path, FULL))
    assert policy.costs == Costs(freight_cents=500)
    assert policy.product_groups["shoes"].markdown_share == 0.3
    assert policy.effects.of("review") == Effect(0.5, 0.1, 200)
    assert policy.effects.of("nudge") == Policy().effects.nudge
    assert policy.effects.of("allow") == Effect()
    assert policy.rule == Thresholds(nudge=0.4, restrict=0.9)
    where = {"country": ["FR", "ES"], "payment_method": ["invoice"]}
    assert policy.segments == (Segment("abroad, on account", where, LeastCost(("allow", "review"))),)
    assert policy.exploration_share == 0.02


def test_without_a_file_nobody_is_restricted():
    policy = read_policy(None)
    assert policy == Policy()
    assert "restrict" not in policy.rule.actions


@pytest.mark.parametrize("text", ["", "# the shop's policy\n"])
def test_a_file_that_states_nothing_is_refused(tmp_path, text):
    with pytest.raises(PolicyError, match=r"policy\.toml: it states nothing"):
        read_policy(written(tmp_path, text))


def test_the_hash_is_of_the_content(tmp_path):
    first = read_policy(written(tmp_path, FULL))
    assert read_policy(written(tmp_path, "# another text\n" + FULL)).hash == first.hash
    assert read_policy(written(tmp_path, FULL.replace("0.4", "0.41"))).hash != first.hash


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[costs]\nfreight = 5", "unknown field `freight` - at `$.costs`"),
        ("[costs]\nmarkdown_share = 1.5", "`float` <= 1.0 - at `$.costs.markdown_share`"),
        ("exploration_share = -0.1", "at `$.exploration_share`"),
        ("[rule]\nkind = 'dice'", "Invalid value 'dice' - at `$.rule.kind`"),
        ("[rule]\nkind = 'thresholds'\nnudge = 0.6\nreview = 0.5", "rule: review at 0.5 lies below nudge at 0.6"),
        ("[rule]\nkind = 'least_cost'\nactions = []", "rule.actions: none"),
        ("[[segments]]\nname='a'\nwhere={size=['M']}\nrule={kind='thresholds'}", "segments[0].where: 'size' is none of country"),
        ("[[segments]]\nname='a'\nwhere={brand=[]}\nrule={kind='thresholds'}", "segments[0].where.brand: no value"),
        ("[[segments]]\nname='a'\nwhere={}\nrule={kind='thresholds'}", "segments[0].where: no column"),
        ("nudge = ", "Invalid value"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, told):
    file = written(tmp_path, text)
    with pytest.raises(PolicyError) as error:
        read_policy(file)
    assert str(error.value).startswith(f"{file}: ")
    assert told in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"absent\.toml: No such file"):
        read_policy(tmp_path / "absent.toml")
