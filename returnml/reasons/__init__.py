"""Why a line got its score: exact contributions, and reasons in plain words. Pure; shared with serving."""
