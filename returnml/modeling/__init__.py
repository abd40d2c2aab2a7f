"""From a training snapshot to a release, a room for each step of it.

``data``, then ``fit``, ``export``, ``judging``, ``reports``, ``training``, ``making`` and, for people and tools, ``mlflow``:
each may import the ones before it. Must not be here: SQL, Dagster, what is done with a probability.
"""
