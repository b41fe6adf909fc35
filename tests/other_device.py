"""A second device for PyTorch, made of the CPU: tensors on it compute as on the CPU, but may not meet those that are.

It stands for a GPU where there is none: what was left behind on the wrong device fails here as it would there, and
what runs gives the bits of the CPU. PyTorch's device "meta" lends its name.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

OTHER = torch.device("meta")
_INDEXING = ("aten.index.Tensor", "aten.index_put_.default", "aten._index_put_impl_.default")  # also by CPU indices


class OnOther(Tensor):
    """A tensor on the other device; `data_` holds its numbers."""

    @staticmethod
    def __new__(cls, data: Tensor) -> "OnOther":
        made = torch.Tensor._make_wrapper_subclass(cls, data.shape, data.stride(), data.storage_offset(),
                                                   dtype=data.dtype, device=OTHER, requires_grad=data.requires_grad)
        made.data_ = data
        return made

    def __repr__(self) -> str:
        return f"OnOther({self.data_})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.data_.__reduce_ex__(protocol)  # a file is read to the CPU

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} outside of OtherDevice")


class OtherDevice(TorchDispatchMode):
    """While it is active, device "meta" computes."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors: list[Tensor] = []
        tree_map_only(Tensor, tensors.append, (args, kwargs))
        made = [t for t in tensors if t.device == OTHER and not isinstance(t, OnOther)]
        if made:
            raise RuntimeError(f"{func} got a list of numbers, which costs a GPU a transfer; give a tensor there")
        there = any(isinstance(t, OnOther) for t in tensors)
        target = kwargs.get("device")
        moves = target is not None
        if target is not None and torch.device(target) == OTHER:
            kwargs["device"] = torch.device("cpu")
        name = str(func)
        if there and not moves and not name.startswith(("aten.copy_", "aten._to_copy", *_INDEXING)):
            left = [t for t in tensors if not isinstance(t, OnOther) and t.dim()]
            if left:
                raise RuntimeError(f"{func} got tensors of two devices; of the CPU: {[tuple(t.shape) for t in left]}")
        results = func(*tree_map_only(OnOther, lambda t: t.data_, args),
                       **tree_map_only(OnOther, lambda t: t.data_, kwargs))
        if (moves and torch.device(target) != OTHER) or not (there or moves):
            return results
        if torch.Tag.inplace_view in func.tags:  # what carries the numbers has its own shape, which must follow
            with no_dispatch():
                func(*args, **kwargs)
        same = {id(t.data_ if isinstance(t, OnOther) else t): t for t in tensors}  # of operations in place
        return tree_map_only(Tensor, lambda t: same[id(t)] if id(t) in same else OnOther(t), results)
