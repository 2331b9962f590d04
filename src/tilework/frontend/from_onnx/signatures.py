"""What ONNX's operators may be given since operator set 7: the fewest and the most inputs, and the attributes."""

from __future__ import annotations

from tilework.frontend.from_onnx.site import Site

MANY = 1 << 31
TEXT = """
Abs 1 1
Acos 1 1
Acosh 1 1
Add 2 2
AffineGrid 2 2 align_corners
And 2 2
ArgMax 1 1 axis keepdims select_last_index
ArgMin 1 1 axis keepdims select_last_index
Asin 1 1
Asinh 1 1
Atan 1 1
Atanh 1 1
Attention 3 7 is_causal kv_num_heads left_window_size q_num_heads qk_matmul_output_mode right_window_size scale
 softcap softmax_precision
AveragePool 1 1 auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides
BatchNormalization 5 5 epsilon momentum spatial training_mode
Bernoulli 1 1 dtype seed
BitCast 1 1 to
BitShift 2 2 direction
BitwiseAnd 2 2
BitwiseNot 1 1
BitwiseOr 2 2
BitwiseXor 2 2
BlackmanWindow 1 1 output_datatype periodic
Cast 1 1 round_mode saturate to
CastLike 2 2 round_mode saturate
CausalConvWithState 2 4 activation
Ceil 1 1
Celu 1 1 alpha
CenterCropPad 2 2 axes
Clip 1 3 max min
Col2Im 3 3 dilations pads strides
Compress 2 2 axis
Concat 1 * axis
ConcatFromSequence 1 1 axis new_axis
Constant 0 0 sparse_value value value_float value_floats value_int value_ints value_string value_strings
ConstantOfShape 1 1 value
Conv 2 3 auto_pad dilations group kernel_shape pads strides
ConvInteger 2 4 auto_pad dilations group kernel_shape pads strides
ConvTranspose 2 3 auto_pad dilations group kernel_shape output_padding output_shape pads strides
Cos 1 1
Cosh 1 1
CumProd 2 2 exclusive reverse
CumSum 2 2 exclusive reverse
DFT 1 3 axis inverse onesided
DeformConv 3 5 dilations group kernel_shape offset_group pads strides
DepthToSpace 1 1 blocksize mode
DequantizeLinear 2 3 axis block_size output_dtype
Det 1 1
Div 2 2
Dropout 1 3 ratio seed
DynamicQuantizeLinear 1 1
Einsum 1 * equation
Elu 1 1 alpha
Equal 2 2
Erf 1 1
Exp 1 1
Expand 2 2
EyeLike 1 1 dtype k
Flatten 1 1 axis
Floor 1 1
GRU 3 6 activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset
Gather 2 2 axis
GatherElements 2 2 axis
GatherND 2 2 batch_dims
Gelu 1 1 approximate
Gemm 2 3 alpha beta transA transB
GlobalAveragePool 1 1
GlobalLpPool 1 1 p
GlobalMaxPool 1 1
Greater 2 2
GreaterOrEqual 2 2
GridSample 2 2 align_corners mode padding_mode
GroupNormalization 3 3 epsilon num_groups stash_type
HammingWindow 1 1 output_datatype periodic
HannWindow 1 1 output_datatype periodic
HardSigmoid 1 1 alpha beta
HardSwish 1 1
Hardmax 1 1 axis
Identity 1 1
If 1 1 else_branch then_branch
ImageDecoder 1 1 pixel_format
InstanceNormalization 3 3 epsilon
IsInf 1 1 detect_negative detect_positive
IsNaN 1 1
LRN 1 1 alpha beta bias size
LSTM 3 8 activation_alpha activation_beta activations clip direction hidden_size input_forget layout
LayerNormalization 2 3 axis epsilon stash_type
LeakyRelu 1 1 alpha
Less 2 2
LessOrEqual 2 2
LinearAttention 3 6 chunk_size kv_num_heads q_num_heads scale update_rule
Log 1 1
LogSoftmax 1 1 axis
Loop 2 * body
LpNormalization 1 1 axis p
LpPool 1 1 auto_pad ceil_mode dilations kernel_shape p pads strides
MatMul 2 2
MatMulInteger 2 4
Max 1 *
MaxPool 1 1 auto_pad ceil_mode dilations kernel_shape pads storage_order strides
MaxRoiPool 2 2 pooled_shape spatial_scale
MaxUnpool 2 3 kernel_shape pads strides
Mean 1 *
MeanVarianceNormalization 1 1 axes
MelWeightMatrix 5 5 output_datatype
Min 1 *
Mish 1 1
Mod 2 2 fmod
Mul 2 2
Multinomial 1 1 dtype sample_size seed
Neg 1 1
NegativeLogLikelihoodLoss 2 3 ignore_index reduction
NonMaxSuppression 2 5 center_point_box
NonZero 1 1
Not 1 1
OneHot 3 3 axis
Optional 0 1 type
OptionalGetElement 1 1
OptionalHasElement 0 1
Or 2 2
PRelu 2 2
Pad 1 4 mode pads value
Pow 2 2
QLinearConv 8 9 auto_pad dilations group kernel_shape pads strides
QLinearMatMul 8 8
QuantizeLinear 2 3 axis block_size output_dtype precision saturate
RMSNormalization 2 2 axis epsilon stash_type
RNN 3 6 activation_alpha activation_beta activations clip direction hidden_size layout
RandomNormal 0 0 dtype mean scale seed shape
RandomNormalLike 1 1 dtype mean scale seed
RandomUniform 0 0 dtype high low seed shape
RandomUniformLike 1 1 dtype high low seed
Range 3 3 stash_type
Reciprocal 1 1
ReduceL1 1 2 axes keepdims noop_with_empty_axes
ReduceL2 1 2 axes keepdims noop_with_empty_axes
ReduceLogSum 1 2 axes keepdims noop_with_empty_axes
ReduceLogSumExp 1 2 axes keepdims noop_with_empty_axes
ReduceMax 1 2 axes keepdims noop_with_empty_axes
ReduceMean 1 2 axes keepdims noop_with_empty_axes
ReduceMin 1 2 axes keepdims noop_with_empty_axes
ReduceProd 1 2 axes keepdims noop_with_empty_axes
ReduceSum 1 2 axes keepdims noop_with_empty_axes
ReduceSumSquare 1 2 axes keepdims noop_with_empty_axes
RegexFullMatch 1 1 pattern
Relu 1 1
Reshape 2 2 allowzero
Resize 1 4 antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value
 keep_aspect_ratio_policy mode nearest_mode
ReverseSequence 2 2 batch_axis time_axis
RoiAlign 3 3 coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale
RotaryEmbedding 3 4 interleaved num_heads rotary_embedding_dim
Round 1 1
STFT 2 4 onesided
Scan 1 * body directions num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions
Scatter 3 3 axis
ScatterElements 3 3 axis reduction
ScatterND 3 3 reduction
Selu 1 1 alpha gamma
SequenceAt 2 2
SequenceConstruct 1 *
SequenceEmpty 0 0 dtype
SequenceErase 1 2
SequenceInsert 2 3
SequenceLength 1 1
SequenceMap 1 * body
Shape 1 1 end start
Shrink 1 1 bias lambd
Sigmoid 1 1
Sign 1 1
Sin 1 1
Sinh 1 1
Size 1 1
Slice 1 5 axes ends starts
Softmax 1 1 axis
SoftmaxCrossEntropyLoss 2 3 ignore_index reduction
Softplus 1 1
Softsign 1 1
SpaceToDepth 1 1 blocksize mode
Split 1 2 axis num_outputs split
SplitToSequence 1 2 axis keepdims
Sqrt 1 1
Squeeze 1 2 axes
StringConcat 2 2
StringNormalizer 1 1 case_change_action is_case_sensitive locale stopwords
StringSplit 1 1 delimiter maxsplit
Sub 2 2
Sum 1 *
SwiGLU 2 2 alpha
Swish 1 1 alpha
Tan 1 1
Tanh 1 1
TensorScatter 2 3 axis mode
TfIdfVectorizer 1 1 max_gram_length max_skip_count min_gram_length mode ngram_counts ngram_indexes pool_int64s
 pool_strings weights
ThresholdedRelu 1 1 alpha
Tile 2 2
TopK 1 2 axis k largest sorted
Transpose 1 1 perm
Trilu 1 2 upper
Unique 1 1 axis sorted
Unsqueeze 1 2 axes
Upsample 1 2 mode scales
Where 3 3
Xor 2 2
"""


def _parsed(text: str) -> dict[str, tuple[int, int, frozenset[str]]]:
    """One operator a line, `*` for any number; a line that begins with a space goes on."""
    words = (line.split() for line in text.strip().replace("\n ", " ").splitlines())
    return {
        name: (int(fewest), MANY if most == "*" else int(most), frozenset(attributes))
        for name, fewest, most, *attributes in words
    }


SIGNATURES = _parsed(TEXT)


def check(site: Site) -> None:
    """Raises NetworkError where a node of ONNX's own has a wrong number of inputs, or an attribute it does not know."""
    signature = None if site.domain else SIGNATURES.get(site.operator)
    if signature is None:
        return
    fewest, most, known = signature
    if len(site.inputs) > most or len(site.proto.input) < fewest:
        site.fail(f"it must have {fewest} to {most} inputs, not {len(site.inputs)}")
    if len(site.inputs) < fewest and site.operator != "Loop":  # whose first two may be left out
        site.fail("the inputs that the operator needs must be there, but one is left out")
    if unknown := site.attributes.keys() - known:
        site.fail(f"it must have no attributes but {', '.join(sorted(known)) or 'none'}, not {min(unknown)}")
