"""Reading and writing safetensors files with NumPy alone."""

import json

import numpy as np

TYPES = {"F32": np.float32, "F64": np.float64, "U8": np.uint8, "I64": np.int64}


def load(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    return {
        name: np.frombuffer(data[slice(*t["data_offsets"])], TYPES[t["dtype"]]).reshape(t["shape"])
        for name, t in header.items()
        if name != "__metadata__"
    }


def save(path, tensors):
    names = {np.dtype(type_): name for name, type_ in TYPES.items()}
    header, parts, offset = {}, [], 0
    for name in sorted(tensors):
        data = np.asarray(tensors[name], order="C")
        header[name] = {"dtype": names[data.dtype], "shape": list(data.shape), "data_offsets": [offset, offset + data.nbytes]}
        parts.append(data.tobytes())
        offset += data.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(parts))
