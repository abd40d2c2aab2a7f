"""Running a release's graph over a matrix.

A session has one thread, always: with more, ONNX Runtime sums the trees of a small batch in another order than those of
a large one, and a line's probability would depend on its company. Large matrices are cut into chunks that several
threads send to the one session: as fast, and every row has the same bits as alone.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from returnml.modeling.export.onnx_export import (
    INPUT_NAME,
    OUTPUT_NAME,
)

CHUNK_ROWS = 8_192


class OnnxScorer:
    """A loaded graph.

    Args:
        model: the bytes of ``model.onnx``.
        threads: how many chunks are scored at once.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._threads = threads
        self.inputs = int(self._session.get_inputs()[0].shape[1])

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            x: float32, shape (n, inputs).

        Returns:
            float32, shape (n,).

        Raises:
            ValueError: for another width or type; missing is not zero.
        """
        if x.ndim != 2 or x.shape[1] != self.inputs or x.dtype != np.float32:
            raise ValueError(f"the model takes float32 (n, {self.inputs}), got {x.dtype} {x.shape}")
        if len(x) <= CHUNK_ROWS:
            return self._run(x)
        chunks = [x[start : start + CHUNK_ROWS] for start in range(0, len(x), CHUNK_ROWS)]
        if self._threads == 1:
            return np.concatenate([self._run(chunk) for chunk in chunks])
        with ThreadPoolExecutor(self._threads) as executor:
            return np.concatenate(list(executor.map(self._run, chunks)))

    def _run(self, x: np.ndarray) -> np.ndarray:
        return self._session.run([OUTPUT_NAME], {INPUT_NAME: x})[0]
