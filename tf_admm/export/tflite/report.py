"""What was written: sizes, accuracy, and which tensors are stored sparse."""

import dataclasses
import gzip
import textwrap

from tf_admm.export.tflite import flatbuffer

#: How many sparse tensors `str(report)` names.
SHOWN = 8


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What `to_tflite` has written.

    Attributes:
        path: the file.
        dtype: what its weights are stored as.
        bytes: its size.
        gzip_bytes: its size after gzip, level 9.
        dense_bytes: the size of the same model without sparse storage.
        dense_gzip_bytes: that after gzip, level 9.
        max_difference: the largest absolute difference to the Keras model, of
            the output that came closest to its tolerance; of int8 the root mean square,
            where that decides.
        tolerance: the largest difference allowed for that output.
        sparse_tensors: names of the tensors that are stored sparse.
        batch: the batch size that the file is fixed to; None if any will do.
        arena_bytes: what the tensors between operators take in memory for one row,
            an estimate: see `tf_admm.export.tflite.arena`.
        fallback: why a sparse file was asked for and a dense one written;
            None if that is not so.
    """

    path: str
    dtype: str
    bytes: int
    gzip_bytes: int
    dense_bytes: int
    dense_gzip_bytes: int
    max_difference: float
    tolerance: float
    sparse_tensors: tuple
    batch: int | None = None
    arena_bytes: int = 0
    fallback: str | None = None

    @property
    def ratio(self):
        """How many times smaller the file is than the dense one."""
        return self.dense_bytes / self.bytes

    def __str__(self):
        rows = [
            ("file", self.path),
            ("weights", self.dtype),
            ("size", _size(self.bytes, self.gzip_bytes)),
            ("dense size", _size(self.dense_bytes, self.dense_gzip_bytes)),
            ("ratio", f"{self.ratio:.2f}"),
            (
                "difference",
                f"{self.max_difference:.2e} (allowed: {self.tolerance:.2e})",
            ),
            ("batch", "any" if self.batch is None else str(self.batch)),
            ("arena", f"{self.arena_bytes:,} bytes, about"),
            ("sparse tensors", _listing(self.sparse_tensors)),
            ("fallback", self.fallback or "none"),
        ]
        return "\n".join(
            textwrap.fill(
                f"{name:<16}{value}",
                width=80,
                subsequent_indent=" " * 16,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for name, value in rows
        )


def gzip_size(data):
    """Bytes of `data` after gzip, level 9."""
    return len(gzip.compress(data, 9, mtime=0))


def sparse_tensors(data):
    """Names of the sparse tensors of a TFLite file, over all its subgraphs."""
    return tuple(tensor.name.decode() for tensor in _sparse(data))


def _sparse(data):
    return [
        tensor
        for graph in flatbuffer.read(data).subgraphs
        for tensor in graph.tensors
        if tensor.sparsity is not None
    ]


def _size(plain, zipped):
    return f"{plain:,} bytes ({zipped:,} gzipped)"


def _listing(names):
    # The converter joins the names of all that it has fused into one.
    shown = [name.split(";")[0] for name in names[:SHOWN]]
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return f"{len(names)}: {', '.join(shown + more)}" if names else "none"
