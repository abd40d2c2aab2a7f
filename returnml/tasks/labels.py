"""SQL that the labels of several tasks are made of."""

FIRST_RETURNS = """(
    SELECT r.line_id, min(r.known_at) AS return_known_at FROM core.returns r JOIN core.outcomes o USING (line_id)
    WHERE o.returned = 1 AND r.known_at <= o.mature_at AND r.returned_at <= o.ordered_at + to_days({window_days})
      AND NOT r.is_orphan AND NOT coalesce(r.is_cancellation, false)
    GROUP BY r.line_id
)"""
"""By line that came back: when the first return that counts was known. Lines of which only a flag tells it have no row."""
