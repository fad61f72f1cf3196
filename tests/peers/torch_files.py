"""Write the same tensors in both of PyTorch's formats (`test_torch_file.py`).

    python tests/peers/torch_files.py

By hand, where torch 2.13.0 and NumPy are installed.
"""

from collections import OrderedDict
from pathlib import Path

import torch

base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
tensors = OrderedDict(
    whole=base,  # the next four are views of its storage
    permuted=base.permute(2, 0, 1),
    sliced=base[1, 1:, ::2],
    column=base[:, 0, 3],
    expanded=base[0, 0, 1:2].expand(5),
    scalar=torch.tensor(7, dtype=torch.int64),
    empty=torch.zeros(0, 3),
    half=torch.tensor([0.5, -2.0], dtype=torch.float16),
    double=torch.tensor([[0.1], [0.2]], dtype=torch.float64).T,
    int32=torch.tensor([-1, 2], dtype=torch.int32),
)
# As a network's state_dict has it.
tensors._metadata = OrderedDict({"": {"version": 1}})
for name, as_zip in (("zip", True), ("legacy", False)):
    path = Path(__file__).with_name(f"torch_{name}.pth")
    torch.save(tensors, path, _use_new_zipfile_serialization=as_zip)
