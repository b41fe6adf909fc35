"""All operators of the integer graph, by name."""

from harembed.ir.ops.activations import Logistic, Tanh
from harembed.ir.ops.base import Op
from harembed.ir.ops.conv import Conv2D
from harembed.ir.ops.dense import FullyConnected
from harembed.ir.ops.depthwise import DepthwiseConv2D
from harembed.ir.ops.elementwise import Add, Mul
from harembed.ir.ops.lstm import Lstm
from harembed.ir.ops.matmul import BatchMatMul
from harembed.ir.ops.mean import Mean
from harembed.ir.ops.pool import AveragePool2D, MaxPool2D
from harembed.ir.ops.rearrange import Pad, Reshape, Transpose
from harembed.ir.ops.relu import Relu
from harembed.ir.ops.slice import StridedSlice
from harembed.ir.ops.softmax import Softmax

OPS: dict[str, Op] = {
    "conv_2d": Conv2D(),
    "depthwise_conv_2d": DepthwiseConv2D(),
    "fully_connected": FullyConnected(),
    "average_pool_2d": AveragePool2D(),
    "max_pool_2d": MaxPool2D(),
    "mean": Mean(),
    "reshape": Reshape(),
    "transpose": Transpose(),
    "pad": Pad(),
    "relu": Relu(),
    "softmax": Softmax(),
    "tanh": Tanh(),
    "logistic": Logistic(),
    "add": Add(),
    "mul": Mul(),
    "batch_matmul": BatchMatMul(),
    "strided_slice": StridedSlice(),
    "lstm": Lstm(),
}
