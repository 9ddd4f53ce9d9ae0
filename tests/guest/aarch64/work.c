/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deterministic work on every CPU: however often it is stopped, saved, lost and restored, it ends
 * with the same lines. All state that C code does not have is in use meanwhile, and checked: vector
 * registers, keys and signed pointers. Timers tick, CPUs wait for each other's interrupts.
 *
 *   iters=N    rounds (20000), of ROUND steps of ../work.h each
 *   span=BYTES of memory, shared out among the CPUs (16M)
 *   from=BYTES after the start of RAM it begins (64M)
 *   seed=N     (1)
 *   fill       contents before the first round
 *
 * The first CPU says "AT n" every sixteenth of its way.
 */
#include "../work.h"
#include "guest.h"

#define ROUND	    256
#define SGI	    2
#define SGI_EVERY   64
#define TICKS_EVERY 100 /* in a second */
#define Z_BYTES	    256 /* at most */
#define SVE_LENGTHS 15	/* ZCR_EL1: as long as possible */

struct vectors {
	uint64_t z[32 * Z_BYTES / 8], p[16 * Z_BYTES / 64], ffr[Z_BYTES / 64];
};

/* vector.S */
uint64_t sve_bytes(void);
void sve_load(const void *z, const void *p, uint64_t ffr);
void sve_store(void *z, void *p, void *ffr);
void simd_load(const void *v);
void simd_store(void *v);
void pauth_keys(const uint64_t key[10]);
void pauth_sign(uint64_t pointer, uint64_t modifier, uint64_t out[4]);
void pauth_check(uint64_t inout[4], uint64_t modifier);
uint64_t pauth_generic(uint64_t value, uint64_t modifier);

struct self {
	struct guest_work w;
	uint64_t vectors, pauth; /* digests */
	uint64_t signed_pointer[4];
	struct vectors in, out;
};

static struct self selves[CPUS_MAX];
static uint64_t iters, span_start, span_words, seed, vector_bytes;
static bool with_sve, with_pauth;

static uint64_t mix(uint64_t digest, uint64_t v)
{
	return (digest << 9 | digest >> 55) * 0x9e3779b97f4a7c15ull ^ v;
}

/* --- registers that C has not ---------------------------------------------------------------- */

static bool has_pauth(void)
{
	uint64_t isar1 = READ_SYSREG(id_aa64isar1_el1), isar2 = READ_SYSREG(s3_0_c0_c6_2);

	/* Addresses by any algorithm, and values by any. */
	return ((isar1 & 0xff0) || (isar2 & 0xf000)) && ((isar1 >> 24 & 0xff) || (isar2 & 0xf00));
}

static void fill(uint64_t *at, uint64_t words, uint64_t *rng)
{
	for (uint64_t i = 0; i < words; i++)
		at[i] = guest_random(rng);
}

/* FPCR: rounding, flush to zero, default NaN. FPSR: what has happened so far. */
static void load_vectors(struct self *s, uint64_t *rng)
{
	uint64_t ffr = guest_random(rng) % (vector_bytes + 1);

	fill(s->in.z, 32 * vector_bytes / 8, rng);
	fill(s->in.p, 16 * vector_bytes / 64, rng);
	for (uint64_t i = 0; i < ARRAY_LEN(s->in.ffr); i++)
		s->in.ffr[i] = ffr >= (i + 1) * 64 ? ~0ull
			       : ffr <= i * 64	   ? 0
						   : (1ull << ffr % 64) - 1;
	if (with_sve)
		sve_load(s->in.z, s->in.p, ffr);
	else
		simd_load(s->in.z);
	WRITE_SYSREG(fpcr, s->in.z[0] & 0x3c00000);
	WRITE_SYSREG(fpsr, s->in.z[1] & 0x800009f);
}

static void same(const uint64_t *a, const uint64_t *b, uint64_t words, const char *what,
		 struct self *s)
{
	for (uint64_t i = 0; i < words; i++) {
		CHECK(a[i] == b[i], "%s word %lu: 0x%lx, not 0x%lx", what, i, b[i], a[i]);
		s->vectors = mix(s->vectors, b[i]);
	}
}

static void check_vectors(struct self *s)
{
	uint64_t fpcr = READ_SYSREG(fpcr), fpsr = READ_SYSREG(fpsr);

	if (with_sve)
		sve_store(s->out.z, s->out.p, s->out.ffr);
	else
		simd_store(s->out.z);
	CHECK(fpcr == (s->in.z[0] & 0x3c00000) && fpsr == (s->in.z[1] & 0x800009f),
	      "fpcr 0x%lx fpsr 0x%lx", fpcr, fpsr);
	same(s->in.z, s->out.z, 32 * vector_bytes / 8, "vector", s);
	if (!with_sve)
		return;
	same(s->in.p, s->out.p, 16 * vector_bytes / 64, "predicate", s);
	same(s->in.ffr, s->out.ffr, vector_bytes / 64 ? vector_bytes / 64 : 1, "ffr", s);
}

static void start_pauth(struct self *s, unsigned cpu)
{
	uint64_t key[10], rng = seed + cpu + 1000;

	fill(key, ARRAY_LEN(key), &rng);
	pauth_keys(key);
	/* EnIA, EnIB, EnDA, EnDB */
	WRITE_SYSREG(sctlr_el1,
		     READ_SYSREG(sctlr_el1) | 1ull << 31 | 1ull << 30 | 1ull << 27 | 1ull << 13);
	pauth_sign((uint64_t)s, 0, s->signed_pointer);
}

/* What was signed a round ago is still good; then signed anew. */
static void next_pauth(struct self *s, uint64_t round)
{
	for (unsigned i = 0; i < 4; i++)
		s->pauth = mix(s->pauth, s->signed_pointer[i]);
	pauth_check(s->signed_pointer, round);
	for (unsigned i = 0; i < 4; i++)
		CHECK(s->signed_pointer[i] == (uint64_t)s, "pointer %u: 0x%lx", i,
		      s->signed_pointer[i]);
	s->pauth = mix(s->pauth, pauth_generic(s->w.checksum, round));
	pauth_sign((uint64_t)s, round + 1, s->signed_pointer);
}

/* --- the work -------------------------------------------------------------------------------- */

/* The neighbour's answer is that it counts. */
static void call_neighbour(unsigned cpu, uint32_t *sent)
{
	unsigned next = (cpu + 1) % cpu_n;

	gic_sgi(next, SGI);
	++*sent;
	while (gic_count_of(next, SGI) != *sent)
		relax();
}

static void run(unsigned cpu)
{
	uint64_t words = span_words / cpu_n / 512 * 512, vectors = seed + cpu, last = counter(),
		 now;
	uint64_t *span = (uint64_t *)span_start + cpu * words;
	struct self *s = &selves[cpu];
	uint32_t sent = 0, ticks = gic_count(timer_interrupt());

	s->w = guest_work_start(seed + cpu);
	if (has_word("fill"))
		guest_work_fill(seed + cpu, span, words);
	if (with_sve)
		WRITE_SYSREG(s3_0_c1_c2_0, SVE_LENGTHS); /* ZCR_EL1 */
	if (with_pauth)
		start_pauth(s, cpu);
	timer_start(1, READ_SYSREG(cntfrq_el0) / TICKS_EVERY);
	irqs_on();
	for (uint64_t i = 0; i < iters; i++) {
		load_vectors(s, &vectors);
		for (unsigned k = 0; k < ROUND; k++)
			guest_work_step(&s->w, span, words);
		check_vectors(s);
		if (with_pauth)
			next_pauth(s, i);
		now = counter();
		CHECK(now >= last, "the counter goes back: %lu after %lu", now, last);
		last = now;
		if (i % SGI_EVERY == 0)
			call_neighbour(cpu, &sent);
		if (!cpu && i % (iters / 16) == 0)
			say("AT %lu\n", i);
	}
	gic_await(timer_interrupt(), ticks);
	timer_stop();
}

void work(void)
{
	struct range ram = fdt_need_reg(fdt_child(0, "memory"), 0);

	iters = word_number("iters", 20000) / 16 * 16;
	seed = word_number("seed", 1);
	span_start = ram.start + word_number("from", 64 << 20);
	span_words = word_number("span", 16 << 20) / 8;
	CHECK(iters && span_words / cpu_n >= 512 &&
		  span_start + span_words * 8 <= ram.start + ram.size,
	      "work does not fit");
	with_sve = READ_SYSREG(id_aa64pfr0_el1) >> 32 & 15;
	with_pauth = has_pauth();
	if (with_sve)
		WRITE_SYSREG(s3_0_c1_c2_0, SVE_LENGTHS);
	vector_bytes = with_sve ? sve_bytes() : 16;
	say("WORK cpus=%u span=%lu vectors=%lu pauth=%u\n", cpu_n, span_words * 8, vector_bytes * 8,
	    with_pauth);
	cpu_run(run);
	for (unsigned i = 0; i < cpu_n; i++)
		say("DONE cpu=%u checksum=0x%lx rng=0x%lx vectors=0x%lx pauth=0x%lx sgis=%u\n", i,
		    selves[i].w.checksum, selves[i].w.rng, selves[i].vectors, selves[i].pauth,
		    gic_count_of(i, SGI));
	say("MEMORY sum=0x%lx\n", checksum((const void *)span_start, span_words * 8));
}
