"""The model card of a release, as Markdown and as one HTML page: what it is for, how good it is, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import msgspec
import numpy as np

from returnml.instants import day_of
from returnml.modeling.judging.evaluation import Evaluation
from returnml.modeling.judging.gates.verdict import Verdict
from returnml.modeling.judging.protected_groups import GroupFigures
from returnml.modeling.reports.evaluation_page import (
    CALIBRATION_NOTE,
    quality_rows,
)
from returnml.pages import html_images, markdown_table, page, table
from returnml.policy.document import ACTIONS, LeastCost, Policy, Rule
from returnml.settings import LabelSettings
from returnml.tasks.declaration import Task

_TOP_FEATURES = 10

Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, bullets and tables (head, rows), in this order."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    bullets: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class CardFacts:
    """What a card is written from.

    Attributes:
        made_from: facts of data and training, by name.
        label: the task's rule.
        constant: inputs with one value in all of training.
        groups: of protected attributes, on the hold-out.
    """

    task: Task
    label: LabelSettings
    made_from: Mapping[str, str]
    evaluation: Evaluation
    verdict: Verdict
    policy: Policy
    names: Sequence[str]
    importance: np.ndarray
    constant: Sequence[str]
    groups: Sequence[GroupFigures] = ()


def sections(facts: CardFacts) -> list[Section]:
    """The card's content; nothing in it depends on when or where it was written."""
    found = [_purpose(facts), _data(facts), _quality(facts), _gates(facts), _segments(facts)]
    return [*found, *([_groups(facts)] if facts.task.protected else []), _policy(facts), _limits(facts)]


def as_markdown(facts: CardFacts, plots: Sequence[str]) -> bytes:
    """
    Args:
        plots: names of the release's plots; they are linked, not embedded.
    """
    out = [f"# Model card: {facts.task.name}"]
    for section in sections(facts):
        out += [f"## {section.title}", *section.paragraphs]
        out += ["\n".join(f"* {text}" for text in section.bullets)] if section.bullets else []
        out += [markdown_table(head, rows) for head, rows in section.tables]
    out += ["## Plots", *(f"![{name}](plots/{name}.png)" for name in plots)]
    return ("\n\n".join(out) + "\n").encode()


def as_html(facts: CardFacts, plots: Mapping[str, bytes]) -> bytes:
    """
    Args:
        plots: PNG by name, embedded.
    """
    body = "".join(
        f"<h2>{escape(section.title)}</h2>"
        + "".join(f"<p>{escape(text)}</p>" for text in section.paragraphs)
        + (f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in section.bullets)}</ul>" if section.bullets else "")
        + "".join(table(head, rows) for head, rows in section.tables)
        for section in sections(facts)
    )
    return page(f"Model card: {facts.task.name}", f"{body}{html_images(plots)}")


def _purpose(facts: CardFacts) -> Section:
    return Section(
        "Purpose",
        [facts.task.question, *(_filled(text, facts.label) for text in facts.task.purpose)],
    )


def _data(facts: CardFacts) -> Section:
    top = np.argsort(-facts.importance, kind="stable")[:_TOP_FEATURES]
    rows = [[facts.names[i], f"{facts.importance[i]:.1%}"] for i in top if facts.importance[i] > 0]
    return Section(
        "Data and training",
        tables=[
            (["made from", ""], [[name, value] for name, value in facts.made_from.items()]),
            (["feature", "share of gain"], rows),
        ],
    )


def _quality(facts: CardFacts) -> Section:
    measured, words = facts.evaluation, facts.task.words
    start = day_of(measured.holdout_start_us)
    return Section(
        "Quality",
        [
            f"On {measured.rows:,} hold-out {words.rows} of {measured.customers:,} customers, {words.anchored} from {start} on, "
            f"which no training saw; {measured.positives:,} of them {words.positive}. "
            f"Maturity: {measured.maturity}. 95% intervals from {measured.replicates} "
            f"customer-bootstrap replicates. {CALIBRATION_NOTE}"
        ],
        tables=[(["", "model", "95% interval", *measured.baselines], quality_rows(measured))],
    )


def _gates(facts: CardFacts) -> Section:
    verdict = facts.verdict
    rows = [
        [gate.name, "holds" if gate.passed else "REJECTED", _number(gate.value), _number(gate.limit), gate.reason]
        for gate in verdict.gates
    ]
    against = f"It was held against the champion {verdict.compared_with}." if verdict.compared_with else "It met no champion."
    outcome = "Every gate holds." if verdict.passed else f"Rejected: {', '.join(gate.name for gate in verdict.failed)}."
    return Section("Gates", [f"{outcome} {against}"], tables=[(["gate", "", "value", "limit", "why"], rows)])


def _segments(facts: CardFacts) -> Section:
    rows = [
        [s.name, f"{s.lines:,}", f"{s.predicted:.2%}", f"{s.actual:.2%}", f"{s.allowed_gap:.2%} + {s.noise:.2%}"]
        for s in facts.verdict.segments
    ]
    return Section(
        "Segments",
        ["Predicted and actual rates of the large segments on the hold-out; the last column is the gap that is allowed, and what "
         "chance may add."],
        tables=[(["segment", facts.task.words.rows, "predicted", facts.task.words.positive, "allowed"], rows)],
    )  # fmt: skip


def _groups(facts: CardFacts) -> Section:
    words = facts.task.words
    used = [f"{a.name}: used, because {a.because}" if a.is_used else f"{a.name}: not used" for a in facts.task.protected]
    rows = [
        [
            g.attribute,
            g.group,
            f"{g.rows:,}",
            f"{g.predicted:.2%}",
            f"{g.actual:.2%}",
            *(f"{g.actions[name]:.1%}" for name in ACTIONS),
        ]
        for g in facts.groups
    ]
    return Section(
        "Protected attributes",
        ["Predicted and actual rates of each group on the hold-out, and the share of it that the policy would treat so. Whether "
         "the model uses an attribute or not, what it uses may go along with it."],
        bullets=used,
        tables=[(["attribute", "group", words.rows, "predicted", words.positive, *ACTIONS], rows)],
    )  # fmt: skip


def _policy(facts: CardFacts) -> Section:
    policy = facts.policy
    costs = msgspec.structs.asdict(policy.costs)
    rows = [["rule", _rule(policy.rule)], *([f"rule of {s.name}", _rule(s.rule)] for s in policy.segments)]
    rows += [[name, str(value)] for name, value in costs.items()]
    rows += [[f"costs of {name}", str(msgspec.to_builtins(group))] for name, group in policy.product_groups.items()]
    effects = {action: policy.effects.of(action) for action in ACTIONS[1:]}
    rows += [
        [f"effect of {action}", f"prevents {e.prevented_share:.0%}, deters {e.deterred_share:.0%}, costs {e.cost_cents} cents"]
        for action, e in effects.items()
    ]
    rows.append(["exploration_share", f"{policy.exploration_share:g}"])
    gaps = [
        [gap.rule, gap.action, f"{gap.threshold:g}", _number(gap.below), _number(gap.above), _number(gap.mid_gap)]
        for gap in facts.verdict.thresholds
    ]
    tables: list[Table] = [(["policy", ""], rows)]
    if gaps:
        tables.append((["rule", "action", "threshold", "score below", "score above", "mid-gap"], gaps))
    return Section("Policy", [f"Judged with policy {policy.hash}; what serves may have another since."], tables=tables)


def _limits(facts: CardFacts) -> Section:
    words = facts.task.words
    judged = [s.lines for s in facts.verdict.segments if s.column != "all"]
    return Section(
        "Limits",
        bullets=[
            *(_filled(text, facts.label) for text in _limits_of_labels(facts)),
            "The hold-out is one period: another season may be calibrated differently. Drift is measured daily.",
            f"{len(judged)} product groups and countries had enough {words.rows} to be judged; of smaller ones nothing is said.",
            *(
                [
                    f"{len(facts.constant)} of {len(facts.names)} inputs had one value in training and play no part "
                    f"(most often what the shop does not deliver): {', '.join(facts.constant)}."
                ]
                if facts.constant
                else []
            ),
        ],
    )


def _limits_of_labels(facts: CardFacts) -> list[str]:
    """The task's limits; where flags alone tell its labels none that speaks of a grace, which nothing waits for then."""
    limits = facts.task.limits
    if not facts.evaluation.maturity.told_by_flags:
        return list(limits)
    told = "What came back is told by the shop's flags alone, final {window_days} days later: nothing says when it came back."
    return [told, *(text for text in limits if "{grace_days}" not in text)]


def _filled(text: str, label: LabelSettings) -> str:
    return text.format(window_days=label.window_days, grace_days=label.grace_days)


def _rule(rule: Rule) -> str:
    if isinstance(rule, LeastCost):
        return f"least expected cost of {', '.join(rule.actions)}"
    reached = {name: value for name, value in msgspec.structs.asdict(rule).items() if value is not None}
    return ", ".join(f"{name} from {value:g}" for name, value in reached.items()) or "allow all"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
