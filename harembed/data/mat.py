"""Read one matrix of numbers out of a MATLAB file of version 4 to 7."""

import io
import struct
import zlib

import numpy as np
import scipy.io

from harembed.errors import DataError

# What scipy raises on damaged content; files of version 7.3 (HDF5) are a NotImplementedError.
_BROKEN = (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, MemoryError, OverflowError, AttributeError,
           NotImplementedError, struct.error, zlib.error, scipy.io.matlab.MatReadError)


def read_matrix(raw: bytes, where: str, variable: str, columns: int) -> np.ndarray:
    """Read the variable of this name.

    Parameters
    ----------
    where : str    archive and member, for errors

    Returns
    -------
    [rows, columns] float64

    Raises
    ------
    DataError    the file is damaged, lacks the variable, or it is no matrix of finite numbers (names row and column)
    """
    again = "Get the archive again from its official source; this copy is damaged."
    try:
        content = scipy.io.loadmat(io.BytesIO(raw), variable_names=[variable])
    except _BROKEN as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise DataError(f"{where} is no MATLAB file that can be read: {reason}.", again) from e
    if variable not in content:
        raise DataError(f"{where} holds no variable {variable}.", again)
    matrix = np.asarray(content[variable])
    if matrix.dtype.kind not in "iuf" or matrix.ndim != 2 or matrix.shape[1] != columns or not len(matrix):
        raise DataError(f"{where}: {variable} is {matrix.dtype} {list(matrix.shape)} instead of numbers "
                        f"[rows, {columns}].", again)
    matrix = matrix.astype(np.float64, copy=False)
    wrong = np.argwhere(~np.isfinite(matrix))
    if len(wrong):
        row, column = wrong[0] + 1
        raise DataError(f"{where}: {variable}, row {row}, column {column} is not a finite number.", again)
    return matrix
