"""Splits, training, calibration, evaluation and ONNX export. Never imports dagster."""
