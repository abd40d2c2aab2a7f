"""A fitted model as the files of a release: the ONNX graph, the explainer, and the proofs that both are the model.

Must not be here: how a model is fitted or judged.
"""
