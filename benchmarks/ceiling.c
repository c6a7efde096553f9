/* The hot loops of neurosim in C, with the same arithmetic and data layout: what the compiled kernels are held against.

   Every function does its work `times` times over. Delivery takes `n_lists` lists of `n_spikes` sources each, one
   after another, and adds to `total`, so that no pass repeats the one before it and nothing can be skipped. */

#include <stdint.h>
#include <string.h>

#define STATE_LIMIT (1 << 23)
#define STATE_WRAP (1 << 24)
#define STATE_MAX (STATE_LIMIT - 1)
#define INPUT_LIMIT (1 << 25)

/* sign(x) * (abs(x) * keep >> 12), in 32-bit lanes */
static inline int32_t scale_toward_zero(int32_t x, int32_t keep) {
    int32_t magnitude = x < 0 ? -x : x;
    int32_t scaled = (magnitude >> 12) * keep + (((magnitude & 4095) * keep) >> 12);
    return x < 0 ? -scaled : scaled;
}

/* counts: sums beyond 32 bits, active, corrected, saturated, fired; added to */
void update_lif(int64_t times, int64_t n, int32_t *restrict acc, const int32_t *restrict noise, int32_t *restrict u,
                int32_t *restrict v, const int32_t *restrict bias, int32_t keep_u, int32_t keep_v, int32_t threshold,
                int32_t half, uint8_t *restrict fired, uint8_t *restrict near, int64_t *restrict counts) {
    for (int64_t r = 0; r < times; r++) {
        int32_t over = 0, active = 0, corrected = 0, saturated = 0, n_fired = 0; /* n is far below 2**31 */
        for (int64_t k = 0; k < n; k++) {
            int32_t a = acc[k], b = bias[k];
            int32_t x = (int32_t)((uint32_t)a << 6) + noise[k];
            acc[k] = 0;
            over += (a >= INPUT_LIMIT) + (a < -INPUT_LIMIT);
            active += (u[k] | v[k] | x | b) != 0;
            int32_t un = scale_toward_zero(u[k], keep_u) + x;
            int32_t high = un > STATE_LIMIT, low = un <= -STATE_LIMIT;
            corrected += high + low;
            un = high ? un - STATE_WRAP : low ? un + STATE_WRAP : un;
            int32_t vn = scale_toward_zero(v[k], keep_v) + un + b;
            saturated += (vn > STATE_MAX) + (vn < -STATE_MAX);
            vn = vn > STATE_MAX ? STATE_MAX : vn < -STATE_MAX ? -STATE_MAX : vn;
            int32_t spike = vn > threshold;
            near[k] |= vn > half;
            fired[k] = spike;
            n_fired += spike;
            u[k] = un;
            v[k] = spike ? 0 : vn;
        }
        counts[0] += over;
        counts[1] += active;
        counts[2] += corrected;
        counts[3] += saturated;
        counts[4] += n_fired;
    }
}

/* Vectors of the compiler (gcc 9 or clang): it splits them where the machine's registers are narrower. */
typedef int8_t bytes32 __attribute__((vector_size(32)));
typedef int16_t shorts16 __attribute__((vector_size(32)));
typedef int16_t shorts32 __attribute__((vector_size(64)));
typedef int32_t ints16 __attribute__((vector_size(64)));

/* BLOCK8, BLOCK16: targets whose sums stay in registers over all spikes; n_post is a multiple of both. */
#ifdef __AVX512BW__ /* one instruction each, which gcc 12 does not find for itself */
#include <immintrin.h>
#define BLOCK8 256
#define BLOCK16 128
static inline shorts32 load_wide8(const int8_t *p) {
    return (shorts32)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)p));
}
static inline ints16 load_wide16(const int16_t *p) {
    return (ints16)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const void *)p));
}
#else
#define BLOCK8 64
#define BLOCK16 64
static inline shorts32 load_wide8(const int8_t *p) {
    bytes32 part;
    memcpy(&part, p, sizeof part);
    return __builtin_convertvector(part, shorts32);
}
static inline ints16 load_wide16(const int16_t *p) {
    shorts16 part;
    memcpy(&part, p, sizeof part);
    return __builtin_convertvector(part, ints16);
}
#endif

#define FLUSH 256 /* 256 rows of int8 cannot leave 16 bits: 256 * -128 = -2**15 */

void sum_dense8(int64_t times, const int8_t *restrict rows, int64_t n_post, const int32_t *restrict lists,
                int64_t n_lists, int64_t n_spikes, int32_t *restrict total) {
    for (int64_t pass = 0; pass < times * n_lists; pass++) {
        const int32_t *sources = lists + pass % n_lists * n_spikes;
        for (int64_t first = 0; first < n_post; first += BLOCK8) {
            for (int64_t done = 0; done < n_spikes; done += FLUSH) {
                int64_t stop = done + FLUSH < n_spikes ? done + FLUSH : n_spikes;
                shorts32 sums[BLOCK8 / 32] = {{0}};
                for (int64_t i = done; i < stop; i++) {
                    const int8_t *row = rows + sources[i] * n_post + first;
                    for (int k = 0; k < BLOCK8 / 32; k++) sums[k] += load_wide8(row + 32 * k);
                }
                for (int k = 0; k < BLOCK8; k++) total[first + k] += ((int16_t *)sums)[k];
            }
        }
    }
}

void sum_dense16(int64_t times, const int16_t *restrict rows, int64_t n_post, const int32_t *restrict lists,
                 int64_t n_lists, int64_t n_spikes, int32_t *restrict total) {
    for (int64_t pass = 0; pass < times * n_lists; pass++) {
        const int32_t *sources = lists + pass % n_lists * n_spikes;
        for (int64_t first = 0; first < n_post; first += BLOCK16) {
            ints16 sums[BLOCK16 / 16] = {{0}};
            for (int64_t i = 0; i < n_spikes; i++) {
                const int16_t *row = rows + sources[i] * n_post + first;
                for (int k = 0; k < BLOCK16 / 16; k++) sums[k] += load_wide16(row + 16 * k);
            }
            for (int k = 0; k < BLOCK16; k++) total[first + k] += ((int32_t *)sums)[k];
        }
    }
}

/* A word holds weight << 23 | target. The words of a later spike are fetched meanwhile. */
#define AHEAD 6

void sum_words(int64_t times, const int64_t *restrict start, const int32_t *restrict word, const int32_t *restrict lists,
               int64_t n_lists, int64_t n_spikes, int32_t *restrict total) {
    for (int64_t pass = 0; pass < times * n_lists; pass++) {
        const int32_t *sources = lists + pass % n_lists * n_spikes;
        for (int64_t i = 0; i < n_spikes; i++) {
            int32_t later = sources[i + AHEAD < n_spikes ? i + AHEAD : n_spikes - 1];
            for (int64_t e = start[later]; e < start[later + 1]; e += 16) __builtin_prefetch(word + e, 0, 3);
            for (int64_t e = start[sources[i]]; e < start[sources[i] + 1]; e++)
                total[word[e] & 0x7fffff] += word[e] >> 23;
        }
    }
}
