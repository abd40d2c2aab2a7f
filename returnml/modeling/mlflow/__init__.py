"""MLflow for people and tools: runs, registered models and their aliases.

The only modules of modeling that import ``mlflow``. Nothing that decides or serves reads what they write.
"""
