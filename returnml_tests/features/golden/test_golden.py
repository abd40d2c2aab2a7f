"""The golden vectors hold: code that changes a value has another hash, or says so by a new version."""

import json

from returnml_tests.features.golden.vectors import FILE, computed, hashes

WRITE = "python -m returnml_tests.features.golden.vectors"


def test_values_and_hashes_belong_together():
    golden, today = json.loads(FILE.read_text()), computed()
    differing = {
        engine: [name for name in golden["vectors"][engine] if golden["vectors"][engine][name] != found.get(name)]
        for engine, found in today["vectors"].items()
        if golden["vectors"].get(engine) != found
    }
    if golden["hashes"] == hashes():
        assert differing == {}, "values changed and no hash did: raise the version of the feature set, or mend the code"
    assert golden == today, f"a hash changed: see that this is meant, then `{WRITE}`"


def test_every_engine_agrees_where_it_sees_the_same():
    vectors = json.loads(FILE.read_text())["vectors"]
    assert vectors["order_line from streams"] == vectors["order_line from tiles"]
    assert vectors["order_line as of earlier"] == vectors["order_line as of earlier from tiles"]
