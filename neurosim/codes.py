"""Codes and table columns that programs, learning plans, kernels and twins share."""

# Columns of the group table (`ProgramArrays.group`).
START, STOP, MODEL, KEEP_U, KEEP_V, THRESHOLD, HALF = range(7)
# Columns of the connection table (`ProgramArrays.conn`).
SOURCE, TARGET, FORMAT, SHIFT, EXPONENT, OFFSET, FAN_OUT = range(7)
EVERYONE = -1  # fan-out: every source reaches the whole target group

MODEL_INPUT = 0
MODEL_LIF = 1

FORMAT_DENSE8 = 0  # rows of int8 mantissas, weight = mantissa << shift
FORMAT_DENSE16 = 1  # rows of int16 weights
FORMAT_CSR = 2  # one word per synapse, by presynaptic neuron

# A synapse's word: the weight (9 bits, signed) above its target.
TARGET_BITS = 23
TARGET_MASK = (1 << TARGET_BITS) - 1

OP_DELIVER = 0  # add the weights of the sources that fired in the step before
OP_UPDATE = 1  # advance the neurons of a group by one step

# Rows of the scratch lanes: one int32 per neuron each.
U, V, ACC, CURRENT, NOISE, SPIKES, TOTAL = range(7)
N_LANES = 7

PROBE_SPIKES, PROBE_U, PROBE_V = range(3)

# Learning: forms of the rule, pre factors, tables of the plan and of the scales.
FORM_RESPONSE = 0  # pairs measure how readouts respond; errors become local votes
FORM_SCALAR = 1  # each pair's fitness difference is one scalar, broadcast
FACTOR_TRACE = 0  # presynaptic spike counts of the unperturbed run, one window of time per rank
FACTOR_RANDOM = 1  # +1 / -1, zero where the presynaptic neuron was silent
PERTURBED, LEARNS = range(2)  # columns of `LearnPlan.group`
CONNECTION, FIRST_VOTE, FIRST_FACTOR, WEIGHT_BITS = range(4)  # columns of `LearnPlan.plastic`
NOISE_EXP, RESPONSE_SHIFT, CREDIT_SHIFT = range(3)  # columns of `Scales.group`
POWERS, ERROR, PLUS = range(3)  # rows of the scratch `classes`
FITNESS_LIMIT = 127  # the fitness difference of a pair is clipped to 8 bits
CREDIT_LIMIT = 4095  # local votes are clipped to 13 bits

# Rows of a generation's statistics: by group, and the totals in the last row.
STAT_SPIKES, STAT_DRIVE, STAT_DRIVE_STEPS, STAT_NEAR, STAT_TOTALS = range(5)
N_STATISTICS = 5
CORRECT, LIKELIHOOD, SPREAD, FITNESS_SIZE, TIES = range(5)  # columns of the totals
N_TOTALS = 5
