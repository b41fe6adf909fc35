"""All operators of the integer graph, by name."""

from harembed.ir.ops.activations import Logistic, Tanh
from harembed.ir.ops.base import Op
from harembed.ir.ops.concatenation import Concatenation
from harembed.ir.ops.conv import Conv2D
from harembed.ir.ops.dense import FullyConnected
from harembed.ir.ops.depthwise import DepthwiseConv2D
from harembed.ir.ops.elementwise import Add, Mul, Sub
from harembed.ir.ops.gru import Gru
from harembed.ir.ops.hard_swish import HardSwish
from harembed.ir.ops.leaky_relu import LeakyRelu
from harembed.ir.ops.lego import LegoConv
from harembed.ir.ops.lstm import Lstm
from harembed.ir.ops.matmul import BatchMatMul
from harembed.ir.ops.mean import Mean
from harembed.ir.ops.pool import AveragePool2D, MaxPool2D
from harembed.ir.ops.prelu import Prelu
from harembed.ir.ops.rearrange import Pad, PadV2, Reshape, Transpose
from harembed.ir.ops.rescale import Quantize, Relu, Relu6
from harembed.ir.ops.slice import StridedSlice
from harembed.ir.ops.softmax import Softmax
from harembed.ir.ops.sum import Sum
from harembed.ir.ops.xnor import XnorConv

OPS: dict[str, Op] = {
    "conv_2d": Conv2D(),
    "lego_conv": LegoConv(),
    "xnor_conv": XnorConv(),
    "depthwise_conv_2d": DepthwiseConv2D(),
    "fully_connected": FullyConnected(),
    "average_pool_2d": AveragePool2D(),
    "max_pool_2d": MaxPool2D(),
    "mean": Mean(),
    "sum": Sum(),
    "reshape": Reshape(),
    "transpose": Transpose(),
    "pad": Pad(),
    "pad_v2": PadV2(),
    "concatenation": Concatenation(),
    "quantize": Quantize(),
    "relu": Relu(),
    "relu6": Relu6(),
    "leaky_relu": LeakyRelu(),
    "prelu": Prelu(),
    "hard_swish": HardSwish(),
    "softmax": Softmax(),
    "tanh": Tanh(),
    "logistic": Logistic(),
    "add": Add(),
    "sub": Sub(),
    "mul": Mul(),
    "batch_matmul": BatchMatMul(),
    "strided_slice": StridedSlice(),
    "lstm": Lstm(),
    "gru": Gru(),
}
