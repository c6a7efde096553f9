"""Codes and table columns that programs, learning plans, kernels and twins share."""

# Columns of the group table (`ProgramArrays.group`).
START, STOP, MODEL, KEEP_U, KEEP_V, THRESHOLD, HALF, ALIKE = range(8)
# Columns of the connection table (`ProgramArrays.conn`).
SOURCE, TARGET, FORMAT, SHIFT, EXPONENT, OFFSET, FAN_OUT = range(7)
EVERYONE = -1  # fan-out: every source reaches the whole target group

MODEL_INPUT = 0
MODEL_LIF = 1  # one du, dv and vth for the group, Lava's arithmetic: the fast path, which learning uses
MODEL_LIF_EACH = 2  # du, dv, vth per neuron, refractory period, periodic reset, either arithmetic
MODEL_TERNARY = 3
MODEL_MULTISPIKE = 4
MODEL_SIGMA = 5
MODEL_DELTA = 6
MODEL_SIGMA_DELTA = 7
MODEL_PRODUCT = 8
MODEL_GRADED = 9
MODEL_RESONATE = 10
MODEL_RESONATE_RESET = 11
MODEL_ATRLIF = 12

FORMAT_DENSE8 = 0  # rows of int8 mantissas, weight = mantissa << shift
FORMAT_DENSE16 = 1  # rows of int16 weights
FORMAT_CSR = 2  # one word per synapse, by presynaptic neuron
FORMAT_LINK = 3  # a row of the link table: values, delays, second ports or convolution

# A synapse's word: the weight (9 bits, signed) above its target.
TARGET_BITS = 23
TARGET_MASK = (1 << TARGET_BITS) - 1

OP_DELIVER = 0  # add the weights of the sources that fired in the step before
OP_UPDATE = 1  # advance the neurons of a group by one step

# Rows of the scratch lanes: one int32 per neuron each.
U, V, ACC, NOISE, SPIKES, TOTAL = range(6)
N_LANES = 6

PROBE_SPIKES, PROBE_U, PROBE_V, PROBE_THIRD, PROBE_FOURTH = range(5)  # the states of a model in their order

# What only programs with other models than LIF, or with links, have (`neurosim.program.ModelArrays`).
# Columns of the setting table, by model; a column not named for a model is 0.
CHIP, PERIOD, INTERVAL, PHASE = range(4)  # LIF_EACH; CHIP: arithmetic of the chip
CAP, FLOOR = range(2)  # MULTISPIKE: largest and smallest message
VTH, SPIKE_SHIFT, STATE_SHIFT, CUMULATIVE, RELU = range(5)  # DELTA, SIGMA_DELTA, GRADED; PRODUCT shifts by SPIKE_SHIFT
SINE, COSINE, ROTATION_BITS = 5, 6, 7  # RESONATE*, with VTH and STATE_SHIFT
DECAY_I, DECAY_V, DECAY_THETA, DECAY_R, THETA_0, THETA_STEP = range(6)  # ATRLIF
N_SETTINGS = 8
PARAM_KEEP_U, PARAM_KEEP_V, PARAM_HIGH, PARAM_LOW = range(4)  # rows of the parameters per neuron, LIF family
N_PARAMS = 4

# Columns of the link table.
LINK_CONNECTION, LINK_KIND, LINK_VALUES, LINK_PORT, LINK_EXPONENT, LINK_OFFSET, LINK_RING, LINK_WIDE = range(8)
N_LINK_COLUMNS = 8
LINK_ROWS, LINK_CSR, LINK_DELAYED, LINK_CONV = range(4)  # LINK_KIND
# Columns of the table of convolutions.
(CONV_WIDTH, CONV_HEIGHT, CONV_CHANNELS, CONV_OUT_WIDTH, CONV_OUT_HEIGHT, CONV_OUT_CHANNELS, CONV_KERNEL_X,
 CONV_KERNEL_Y, CONV_STRIDE_X, CONV_STRIDE_Y, CONV_PAD_X, CONV_PAD_Y, CONV_DILATION_X, CONV_DILATION_Y,
 CONV_GROUPS, CONV_FIRST) = range(16)  # fmt: skip
N_CONV_COLUMNS = 16
REACH_FIRST, REACH_WIDTH, REACH_SAFE = range(3)  # columns of `Reaches.table`
N_REACH_COLUMNS = 3
# Columns of the table of rings, which hold what arrives later.
RING_PORT, RING_FIRST, RING_WIDTH, RING_OFFSET, RING_LENGTH = range(5)  # port, first neuron, neurons, place, steps

# Learning: forms of the rule, pre factors, tables of the plan and of the scales.
FORM_RESPONSE = 0  # pairs measure how readouts respond; errors become local votes
FORM_SCALAR = 1  # each pair's fitness difference is one scalar, broadcast
FACTOR_TRACE = 0  # presynaptic spike counts of the unperturbed run, one window of time per rank
FACTOR_RANDOM = 1  # +1 / -1, zero where the presynaptic neuron was silent
FACTOR_GAUSSIAN = 2  # integers of normal shape for both factors, zero where the presynaptic neuron was silent
FACTOR_FULL = 3  # the baseline: a draw of its own for every synapse, +1 / -1
FACTOR_FULL_GAUSSIAN = 4  # the same with integers of normal shape
PERTURBED, LEARNS, SIZE = range(3)  # columns of `LearnPlan.group`
CONNECTION, FIRST_VOTE, FIRST_FACTOR, WEIGHT_BITS, KIND, VALUES, SHARED = range(7)  # columns of `LearnPlan.plastic`
KIND_ROWS = 0  # a weight for every pair of neurons
KIND_SYNAPSES = 1  # stored synapses, by presynaptic, then by postsynaptic neuron
KIND_KERNEL = 2  # of a convolution: weights that many links share
TRACE_LIMIT = 32767  # values of graded spikes, and their sums in traces, saturate at 16 bits or earlier (VALUES)
NEURON_GROUP, NEURON_KIND, NEURON_FIRST, NEURON_RESIDUAL = range(4)  # columns of `LearnPlan.neuron`
KIND_BIAS, KIND_THRESHOLD = 3, 4  # what neurons learn beside their weights
UPDATE_ROUNDING = 0  # a weight moves by its scaled vote, rounded by chance
UPDATE_SIGNIFICANCE = 1  # a weight moves by one step where its vote is larger than chance makes it
AVERAGE_LIMIT = 32767  # averages of votes have 16 bits
NOISE_EXP, CREDIT_SHIFT = range(2)  # columns of `Scales.group`
N_SCALES = 2
POWERS, ERROR = range(2)  # rows of the scratch `classes`
# What a learner wants of a run (`neurosim.goals.Goal`).
FIT_LIKELIHOOD = 0  # log-softmax of the readout's voltages
FIT_COUNT = 1  # log-softmax of its spike counts
FIT_FIRST = 2  # log-softmax of the steps left after its first spikes
FIT_TRACE = 3  # squared distance of its voltages from a target, at every step
FIT_USER = 4  # a function of the user's
READ_BITS = 12  # a spike, or a step, is 2**READ_BITS units of the readout
WINDOWS_ONE = 0  # one answer for a sample
WINDOWS_SHARED = 1  # one for each window of time; a response for each distance between cause and answer
WINDOWS_OWN = 2  # one for each window of time; a response for each window, to what it did in the window
PASS_WHOLE, PASS_LOOK, PASS_VOTE = range(3)  # of a generation: all in one; without votes; votes for given fitness
SEEN_VALUE, SEEN_COUNT, SEEN_FIRST = range(3)  # what a user's function sees of a run

FITNESS_LIMIT = 127  # the fitness difference of a pair is clipped to 8 bits
CREDIT_LIMIT = 4095  # local votes are clipped to 13 bits

# Rows of a generation's statistics: by group, and the totals in the last row.
STAT_SPIKES, STAT_DRIVE, STAT_DRIVE_STEPS, STAT_NEAR, STAT_TOTALS = range(5)
N_STATISTICS = 5
CORRECT, LIKELIHOOD, SPREAD, FITNESS_SIZE, TIES, LABELLED, IMBALANCE = range(7)  # columns of the totals
N_TOTALS = 7

# Updates of weights: how much one look takes in, and what its working memory has room for.
BLOCK = 64  # rows whose sources are looked at together
CHUNK = 64  # terms that are listed before they are summed up

# Neurons trained by gradients (`neurosim.direct`).
DIRECT_HARD = 0  # LIF: v = 0 after a spike
DIRECT_SOFT = 1  # multi-spike: v keeps the rest
DIRECT_TERNARY = 2
DIRECT_INTEGRATE = 3  # a readout
