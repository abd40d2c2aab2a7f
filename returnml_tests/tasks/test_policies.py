"""Which policy decides: the task's file, else its own, else the shop's."""

from dataclasses import replace
from pathlib import Path

from returnml.policy.document import Costs, Policy, Thresholds
from returnml.settings import Settings, TaskSettings
from returnml.tasks.declared.return_risk import TASK
from returnml.tasks.policies import policy_of

OWN = Policy(rule=Thresholds(review=0.5))


def written(folder: Path, name: str, freight: int) -> str:
    file = folder / name
    file.write_text(f"[costs]\nfreight_cents = {freight}\n")
    return str(file)


def test_the_shops_policy_where_the_task_has_none(tmp_path: Path):
    assert policy_of(TASK, Settings()) == Policy()
    assert policy_of(TASK, Settings(policy=written(tmp_path, "shop.toml", 1))) == Policy(costs=Costs(freight_cents=1))


def test_a_tasks_own_policy_is_not_the_shops(tmp_path: Path):
    task = replace(TASK, policy=OWN)
    assert policy_of(task, Settings(policy=written(tmp_path, "shop.toml", 1))) == OWN


def test_the_tasks_file_wins(tmp_path: Path):
    settings = Settings(
        policy=written(tmp_path, "shop.toml", 1), tasks={TASK.name: TaskSettings(policy=written(tmp_path, "own.toml", 2))}
    )
    assert policy_of(TASK, settings).costs.freight_cents == 2
    assert policy_of(replace(TASK, policy=OWN), settings).costs.freight_cents == 2
