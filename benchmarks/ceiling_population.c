/* The members of a population in C: antithetic rank-1 pairs of a network of two layers, as learning evaluates them.

   One sample has `n_dirs` directions of two members each. Input currents are summed once for all of them; a member adds
   or subtracts the step's `drive` at each hidden neuron, by the bits of its direction. Then layer by layer: a few
   neurons stay in registers over all steps and leave masks of spikes, from which the readout sums rows of int8.
   Arithmetic: docs/arithmetic.md, section 2, without biases, so a step without input or state leaves a neuron at rest
   and only the steps that reach the readout are computed. Making noise, measuring and voting are not in here.

   Three programs with the same results: `PLAIN` is left to the compiler, `WIDE` is written in vectors, and `PROVEN` is
   `WIDE` where a product could pass 32 bits or a current could wrap, which is found out for each sample from its
   currents; elsewhere one multiplication does for a decay, and nothing has to be corrected or clipped. */

#include "ceiling.c"

#define MAX_STEPS 32
#define MAX_HIDDEN 1024
#define N_OUT 16 /* readout neurons, filled up with rows of zeros */
#define PROVEN_LIMIT (1 << 19) /* a state below it, times a factor of 12 bits, stays in 32 bits */

enum { PLAIN, WIDE, PROVEN };
enum { KEEP_U, KEEP_V, THRESHOLD, N_SETTINGS }; /* of the hidden group, then of the readout; keep = 4096 - decay */

typedef struct {
    int32_t current[MAX_STEPS][MAX_HIDDEN]; /* what the inputs of a sample bring, shifted */
    uint64_t fired[2][MAX_STEPS][MAX_HIDDEN / 64];
} Work;

static inline int32_t step_lif(int32_t *u, int32_t *v, int32_t x, const int32_t *settings) {
    int32_t un = (int32_t)((uint32_t)scale_toward_zero(*u, settings[KEEP_U]) + (uint32_t)x);
    un = un > STATE_LIMIT ? un - STATE_WRAP : un <= -STATE_LIMIT ? un + STATE_WRAP : un;
    int32_t vn = (int32_t)((uint32_t)scale_toward_zero(*v, settings[KEEP_V]) + (uint32_t)un);
    vn = vn > STATE_MAX ? STATE_MAX : vn < -STATE_MAX ? -STATE_MAX : vn;
    int32_t spike = vn > settings[THRESHOLD];
    *u = un;
    *v = spike ? 0 : vn;
    return spike;
}

/* ---- plain C: both members of a pair, a block of neurons over all steps ---- */

#define BLOCK 64

static void hidden_plain(int64_t n_steps, int64_t n_hidden, const int32_t *drive, const uint64_t *signs,
                         const int32_t *settings, Work *w) {
    for (int64_t b = 0; b < n_hidden / BLOCK; b++) {
        int32_t sign[BLOCK], u[2][BLOCK] = {{0}}, v[2][BLOCK] = {{0}}, spike[BLOCK];
        for (int k = 0; k < BLOCK; k++) sign[k] = signs[b] >> k & 1 ? -1 : 1;
        for (int64_t t = 0; t < n_steps; t++) {
            for (int m = 0; m < 2; m++) {
                int32_t size = m ? -drive[t] : drive[t];
                uint64_t bits = 0;
                for (int k = 0; k < BLOCK; k++)
                    spike[k] = step_lif(&u[m][k], &v[m][k], w->current[t][b * BLOCK + k] + sign[k] * size, settings);
                for (int k = 0; k < BLOCK; k++) bits |= (uint64_t)spike[k] << k;
                w->fired[m][t][b] = bits;
            }
        }
    }
}

static void readout_plain(int64_t n_steps, int64_t n_hidden, const int8_t *rows, int32_t shift, const int32_t *settings,
                          uint64_t (*fired)[MAX_HIDDEN / 64], int32_t *out) {
    int32_t u[N_OUT] = {0}, v[N_OUT] = {0};
    for (int64_t t = 0; t < n_steps; t++) {
        int32_t sum[N_OUT] = {0};
        for (int64_t b = 0; b < n_hidden / 64; b++) {
            for (uint64_t bits = fired[t][b]; bits; bits &= bits - 1) {
                const int8_t *row = rows + (64 * b + __builtin_ctzll(bits)) * N_OUT;
                for (int k = 0; k < N_OUT; k++) sum[k] += row[k];
            }
        }
        for (int k = 0; k < N_OUT; k++) step_lif(u + k, v + k, (int32_t)((uint32_t)sum[k] << shift), settings);
    }
    memcpy(out, v, sizeof v);
}

/* ---- vectors: the few operations that differ between AVX-512 and AVX2 ---- */

#if defined(__AVX512BW__) && defined(__AVX512DQ__)
#define LANES 16
typedef __m512i V;
typedef __mmask16 M;
#define v_set _mm512_set1_epi32
#define v_load(p) _mm512_loadu_si512((const void *)(p))
#define v_add _mm512_add_epi32
#define v_sub _mm512_sub_epi32
#define v_mul _mm512_mullo_epi32
#define v_and _mm512_and_si512
#define v_max _mm512_max_epi32
#define v_min _mm512_min_epi32
#define v_sra _mm512_srai_epi32
#define v_srl _mm512_srli_epi32
#define v_sll(x, n) _mm512_sll_epi32(x, _mm_cvtsi32_si128(n))
#define v_gt _mm512_cmpgt_epi32_mask
#define v_negative _mm512_movepi32_mask
#define v_add_where(m, x, y) _mm512_mask_add_epi32(x, m, x, y)
#define v_sub_where(m, x, y) _mm512_mask_sub_epi32(x, m, x, y)
#define v_clear_where(m, x) _mm512_maskz_mov_epi32((M)~(m), x)
#define v_bits(m) ((uint32_t)(m))
#define v_mask(bits) ((M)(bits))
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
typedef __m256i V;
typedef __m256i M; /* all bits of a lane, or none */
#define v_set _mm256_set1_epi32
#define v_load(p) _mm256_loadu_si256((const void *)(p))
#define v_add _mm256_add_epi32
#define v_sub _mm256_sub_epi32
#define v_mul _mm256_mullo_epi32
#define v_and _mm256_and_si256
#define v_max _mm256_max_epi32
#define v_min _mm256_min_epi32
#define v_sra _mm256_srai_epi32
#define v_srl _mm256_srli_epi32
#define v_sll(x, n) _mm256_sll_epi32(x, _mm_cvtsi32_si128(n))
#define v_gt _mm256_cmpgt_epi32
#define v_negative(x) _mm256_srai_epi32(x, 31)
#define v_add_where(m, x, y) _mm256_add_epi32(x, _mm256_and_si256(m, y))
#define v_sub_where(m, x, y) _mm256_sub_epi32(x, _mm256_and_si256(m, y))
#define v_clear_where(m, x) _mm256_andnot_si256(m, x)
#define v_bits(m) ((uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m)))
static inline M v_mask(uint32_t bits) {
    const V lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), lane), lane);
}
#endif

#ifdef LANES
#define ALWAYS static inline __attribute__((always_inline))

/* floor((x * keep + 4095 where x < 0) / 4096), which rounds toward zero: upper and lower 12 bits by themselves */
ALWAYS V decay_wide(V x, V keep) {
    V low = v_mul(v_and(x, v_set(4095)), keep);
    low = v_add_where(v_negative(x), low, v_set(4095));
    return v_add(v_mul(v_sra(x, 12), keep), v_srl(low, 12));
}

ALWAYS V decay_proven(V x, V keep) {
    return v_sra(v_add_where(v_negative(x), v_mul(x, keep), v_set(4095)), 12);
}

/* One step of the neurons in a vector; returns who fired. `filter`: currents have a memory. */
ALWAYS M step_vector(V *u, V *v, V x, const int32_t *settings, int proven, int filter) {
    const V limit = v_set(STATE_LIMIT), wrap = v_set(STATE_WRAP), most = v_set(STATE_MAX), keep = v_set(settings[KEEP_V]);
    V un = filter ? v_add(decay_wide(*u, v_set(settings[KEEP_U])), x) : x;
    if (!proven) {
        M high = v_gt(un, limit), low = v_gt(v_set(1 - STATE_LIMIT), un);
        un = v_add_where(low, v_sub_where(high, un, wrap), wrap);
    }
    V vn = v_add(proven ? decay_proven(*v, keep) : decay_wide(*v, keep), un);
    if (!proven) vn = v_max(v_min(vn, most), v_set(-STATE_MAX));
    M spike = v_gt(vn, v_set(settings[THRESHOLD]));
    *u = un;
    *v = v_clear_where(spike, vn);
    return spike;
}

#ifdef __AVX512VBMI2__
#define EIGHT(i) (i), (i) + 1, (i) + 2, (i) + 3, (i) + 4, (i) + 5, (i) + 6, (i) + 7
static const uint8_t counting[64] = {EIGHT(0), EIGHT(8), EIGHT(16), EIGHT(24), EIGHT(32), EIGHT(40), EIGHT(48), EIGHT(56)};
#define COUNTING _mm512_loadu_si512(counting)
#endif

#if LANES == 16 /* vectors of neurons that are advanced together, twice (both members), to hide latencies */
#define SPAN 4
#else
#define SPAN 2
#endif

ALWAYS void span_steps(int64_t n_steps, int64_t first, const int32_t *drive, const uint8_t *signs,
                       const int32_t *settings, Work *w, int proven, int filter) {
    V u[2][SPAN], v[2][SPAN];
    M minus[SPAN];
    for (int i = 0; i < SPAN; i++) {
        uint32_t bits = 0;
        memcpy(&bits, signs + first / 8 + i * LANES / 8, LANES / 8);
        minus[i] = v_mask(bits);
        for (int m = 0; m < 2; m++) u[m][i] = v[m][i] = v_set(0);
    }
    for (int64_t t = 0; t < n_steps; t++) {
        const V size = v_set(drive[t]), twice = v_add(size, size);
        for (int i = 0; i < SPAN; i++) {
            V base = v_load(w->current[t] + first + i * LANES), d = v_sub_where(minus[i], size, twice);
            for (int m = 0; m < 2; m++) {
                V x = m ? v_sub(base, d) : v_add(base, d);
                uint32_t bits = v_bits(step_vector(&u[m][i], &v[m][i], x, settings, proven, filter));
                memcpy((uint8_t *)w->fired[m][t] + first / 8 + i * LANES / 8, &bits, LANES / 8);
            }
        }
    }
}

/* Add the rows of the neurons in a mask to 16-bit sums; 256 rows of int8 at most. */
ALWAYS __m256i add_rows(__m256i sum, const uint64_t *fired, int64_t n_words, const int8_t *rows) {
#ifdef __AVX512VBMI2__ /* list them first: one loop whose end is guessed wrong, and not one for each word */
    uint8_t list[256 + 64];
    int64_t n = 0;
    __m512i index = COUNTING;
    for (int64_t b = 0; b < n_words; b++) {
        _mm512_storeu_si512(list + n, _mm512_maskz_compress_epi8(fired[b], index));
        n += __builtin_popcountll(fired[b]);
        index = _mm512_add_epi8(index, _mm512_set1_epi8(64));
    }
    for (int64_t i = 0; i < n; i++)
        sum = _mm256_add_epi16(sum, _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(rows + list[i] * N_OUT))));
#else
    for (int64_t b = 0; b < n_words; b++)
        for (uint64_t bits = fired[b]; bits; bits &= bits - 1) {
            const int8_t *row = rows + (64 * b + __builtin_ctzll(bits)) * N_OUT;
            sum = _mm256_add_epi16(sum, _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)row)));
        }
#endif
    return sum;
}

ALWAYS void readout_vector(int64_t n_steps, int64_t n_hidden, const int8_t *rows, int32_t shift, const int32_t *settings,
                           uint64_t (*fired)[MAX_HIDDEN / 64], int32_t *out, int filter) {
    V u[N_OUT / LANES], v[N_OUT / LANES];
    for (int i = 0; i < N_OUT / LANES; i++) u[i] = v[i] = v_set(0);
    for (int64_t t = 0; t < n_steps; t++) {
        int32_t total[N_OUT] = {0};
        for (int64_t b = 0; b < n_hidden / 64; b += 4) {
            int16_t parts[N_OUT];
            __m256i sum = add_rows(_mm256_setzero_si256(), fired[t] + b, 4, rows + 64 * b * N_OUT);
            memcpy(parts, &sum, sizeof parts);
            for (int k = 0; k < N_OUT; k++) total[k] += parts[k];
        }
        for (int i = 0; i < N_OUT / LANES; i++)
            step_vector(&u[i], &v[i], v_sll(v_load(total + i * LANES), shift), settings, 0, filter);
    }
    memcpy(out, v, sizeof v);
}

/* Can no current wrap, and no voltage of these neurons fall to -2**19? Decays only bring voltages nearer to 0. */
static int is_proven(int64_t n_steps, int64_t first, const int32_t *drive, const int32_t *settings, const Work *w) {
    if (settings[KEEP_U] || settings[THRESHOLD] >= PROVEN_LIMIT) return 0;
    int safe = 1;
    for (int64_t k = first; k < first + SPAN * LANES; k++) {
        int64_t depth = 0;
        for (int64_t t = 0; t < n_steps; t++) {
            int64_t x = w->current[t][k], size = drive[t] < 0 ? -(int64_t)drive[t] : drive[t];
            safe &= (x < 0 ? -x : x) + size < STATE_LIMIT - PROVEN_LIMIT;
            depth = (depth * settings[KEEP_V] >> 12) + 1 + size - x;
            depth = depth < 0 ? 0 : depth;
            safe &= depth < PROVEN_LIMIT;
        }
    }
    return safe;
}

static void pair_vector(int64_t n_steps, int64_t n_hidden, const int32_t *drive, const uint8_t *signs,
                        const int32_t *settings, const uint8_t *proven, Work *w) {
    for (int64_t first = 0, i = 0; first < n_hidden; first += SPAN * LANES, i++) {
        if (proven[i])
            span_steps(n_steps, first, drive, signs, settings, w, 1, 0);
        else if (settings[KEEP_U])
            span_steps(n_steps, first, drive, signs, settings, w, 0, 1);
        else
            span_steps(n_steps, first, drive, signs, settings, w, 0, 0);
    }
}
#endif

/* ---- samples ---- */

/* Neurons in a vector; 0 where only PLAIN is here. */
void tell_lanes(int64_t *lanes) {
#ifdef LANES
    *lanes = LANES;
#else
    *lanes = 0;
#endif
}

/* A sample's input currents: its events of step t reach the hidden neurons one step later. */
static void sum_inputs(int64_t n_steps, int64_t n_hidden, const int8_t *rows, int32_t shift, const int64_t *start,
                       const int32_t *neuron, Work *w) {
    for (int64_t t = 0; t < n_steps; t++) {
        int32_t *sums = w->current[t];
        memset(sums, 0, n_hidden * sizeof *sums);
        sum_dense8(1, rows, n_hidden, neuron + start[t], 1, start[t + 1] - start[t], sums);
        for (int64_t k = 0; k < n_hidden; k++) sums[k] = (int32_t)((uint32_t)sums[k] << shift);
    }
}

/* sizes: n_steps of input, n_hidden (a multiple of 256, at most 1,024), n_dirs, program (PLAIN, WIDE, PROVEN), shift of
   both connections' sums, whether spikes are counted (0 or 1). rows: (n_in, n_hidden) and (n_hidden, 16).
   start, neuron: events. drive: (n_samples, n_steps). signs: (n_samples, n_dirs, n_hidden / 64) bits, 1 for minus.
   settings: (2, 3). out: (n_samples, n_dirs, 2, 16) voltages. counts, added to: hidden spikes; neurons (once a sample)
   for which PROVEN did without the wide products. */
void evaluate_pairs(int64_t times, int64_t n_samples, const int64_t *sizes, const int8_t *restrict rows1,
                    const int8_t *restrict rows2, const int64_t *restrict start, const int32_t *restrict neuron,
                    const int32_t *restrict drive, const uint64_t *restrict signs, const int32_t *settings,
                    int32_t *restrict out, int64_t *restrict counts) {
    const int64_t n_steps = sizes[0], n_hidden = sizes[1], n_dirs = sizes[2], program = sizes[3];
    const int32_t shift1 = (int32_t)sizes[4], shift2 = (int32_t)sizes[5];
    const int32_t *settings2 = settings + N_SETTINGS;
    (void)program; /* without vectors PLAIN is all there is */
    static __thread Work work;
    Work *w = &work;
    for (int64_t r = 0; r < times * n_samples; r++) {
        int64_t s = r % n_samples;
        const int32_t *pushed = drive + s * n_steps;
        sum_inputs(n_steps, n_hidden, rows1, shift1, start + s * n_steps, neuron, w);
#ifdef LANES
        uint8_t proven[MAX_HIDDEN / 8] = {0};
        for (int64_t i = 0; program == PROVEN && i < n_hidden / (SPAN * LANES); i++) {
            proven[i] = is_proven(n_steps, i * SPAN * LANES, pushed, settings, w);
            counts[1] += proven[i] * SPAN * LANES;
        }
#endif
        for (int64_t d = 0; d < n_dirs; d++) {
            const uint64_t *bits = signs + (s * n_dirs + d) * (n_hidden / 64);
            int32_t *voltage = out + (s * n_dirs + d) * 2 * N_OUT;
#ifdef LANES
            if (program != PLAIN) {
                pair_vector(n_steps, n_hidden, pushed, (const uint8_t *)bits, settings, proven, w);
                for (int m = 0; m < 2; m++) {
                    if (settings2[KEEP_U])
                        readout_vector(n_steps, n_hidden, rows2, shift2, settings2, w->fired[m], voltage + m * N_OUT, 1);
                    else
                        readout_vector(n_steps, n_hidden, rows2, shift2, settings2, w->fired[m], voltage + m * N_OUT, 0);
                }
            } else
#endif
            {
                hidden_plain(n_steps, n_hidden, pushed, bits, settings, w);
                for (int m = 0; m < 2; m++)
                    readout_plain(n_steps, n_hidden, rows2, shift2, settings2, w->fired[m], voltage + m * N_OUT);
            }
            for (int64_t row = 0; sizes[6] && row < 2 * n_steps; row++)
                for (int64_t b = 0; b < n_hidden / 64; b++)
                    counts[0] += __builtin_popcountll(w->fired[row & 1][row >> 1][b]);
        }
    }
}
