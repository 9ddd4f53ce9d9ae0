/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the aarch64 test guests have of each other. Everything about the machine comes
 * out of its device tree: no address stands in the guest.
 *
 * Prefixes by file: say, fdt_, mmu_, cpu_, gic_, its_, pci_, virtio_, disk_. One CPU does
 * everything but what cpu_run() gives to others.
 */
#ifndef GUEST_AARCH64_GUEST_H
#define GUEST_AARCH64_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPUS_MAX     16
#define HUGE	     0x200000ull
#define MIB	     0x100000ull
#define EXIT_PASSED  0x10
#define EXIT_FAILED  0x11
#define ARRAY_LEN(a) (sizeof(a) / sizeof(a)[0])

/* What a firmware leaves in x3 for the kernel that it enters: Linux wants 0 there. */
#define FIRMWARE_MARK 0x6572617774726966ull

struct range {
	uint64_t start, size;
};

/* start.S and guest.ld */
extern const uint8_t head[], image_end[];
extern const uint8_t cpu_start[];
extern const uint64_t entry[4]; /* x0 to x3 as the guest was entered */
uint64_t hvc(uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3);
uint64_t store_pair(uint64_t at);
void jump_on(uint64_t to, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
    __attribute__((noreturn));

/* Called by start.S. */
void mmu_build(uint64_t fdt);
void guest_main(void);
void cpu_started(unsigned cpu);
void gic_interrupt(void);
void fault(uint64_t esr, uint64_t elr, uint64_t far) __attribute__((noreturn));

/* --- registers ------------------------------------------------------------------------------- */

#define READ_SYSREG(name)                                                                          \
	({                                                                                         \
		uint64_t sysreg_value_;                                                            \
		asm volatile("mrs %0, " #name : "=r"(sysreg_value_) : : "memory");                 \
		sysreg_value_;                                                                     \
	})
#define WRITE_SYSREG(name, v)                                                                      \
	asm volatile("msr " #name ", %0\n\tisb" : : "r"((uint64_t)(v)) : "memory")

/* One plain load or store each, which is what a hypervisor can decode. */
#define MMIO(BITS, SUFFIX, REG)                                                                    \
	static inline uint##BITS##_t in##BITS(uint64_t at)                                         \
	{                                                                                          \
		uint##BITS##_t v;                                                                  \
		asm volatile("ldr" SUFFIX " %" REG "0, [%1]\n\tdsb ld"                             \
			     : "=r"(v)                                                             \
			     : "r"(at)                                                             \
			     : "memory");                                                          \
		return v;                                                                          \
	}                                                                                          \
	static inline void out##BITS(uint64_t at, uint##BITS##_t v)                                \
	{                                                                                          \
		asm volatile("dsb st\n\tstr" SUFFIX " %" REG "0, [%1]"                             \
			     :                                                                     \
			     : "r"(v), "r"(at)                                                     \
			     : "memory");                                                          \
	}
MMIO(8, "b", "w")
MMIO(16, "h", "w")
MMIO(32, "", "w")
MMIO(64, "", "x")

static inline void barrier(void)
{
	asm volatile("dsb sy\n\tisb" : : : "memory");
}

static inline void relax(void)
{
	asm volatile("yield" : : : "memory");
}

/* --- say.c ----------------------------------------------------------------------------------- */

/* On the console; %s, %u and %x of any width. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_on(uint64_t uart, const char *text);
void say_init(void);
/* Ends the machine: by the debug exit if there is one, else by PSCI. */
void end(uint32_t code) __attribute__((noreturn));
void power_off(void) __attribute__((noreturn));
void failed(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			failed(__VA_ARGS__);                                                       \
	} while (0)

bool same_text(const char *a, const char *b);
/* Words of /chosen/bootargs: NAME, or NAME=NUMBER with K, M, G. */
bool has_word(const char *name);
uint64_t word_number(const char *name, uint64_t otherwise);
/* Of 64-bit words or, of what is no multiple of them, bytes. */
uint64_t checksum(const void *data, uint64_t bytes);

/* --- fdt.c ----------------------------------------------------------------------------------- */

#define FDT_NONE (-1)

/* @fdt: checked; the rest of these looks into it. */
void fdt_open(uint64_t fdt);
uint32_t fdt_total_bytes(void);
/* Nodes in their order; FDT_NONE begins and ends it. */
int fdt_next(int node);
int fdt_next_compatible(int node, const char *compatible);
int fdt_child(int parent, const char *name); /* with or without its address */
int fdt_parent(int node);
int fdt_by_phandle(uint32_t phandle);
const char *fdt_name(int node);
/* NULL if there is none; at least @bytes_min long. */
const uint8_t *fdt_property(int node, const char *name, uint32_t bytes_min, uint32_t *bytes);
uint32_t fdt_u32(const uint8_t *at);
uint64_t fdt_u64(const uint8_t *at);
bool fdt_reg(int node, unsigned i, struct range *out);
struct range fdt_need_reg(int node, unsigned i);
/* Number of the @i-th interrupt as the GIC counts. */
uint32_t fdt_interrupt(int node, unsigned i);

/* --- mmu.c, cpu.c ---------------------------------------------------------------------------- */

enum mmu_type { MMU_DEVICE, MMU_MEMORY };
void mmu_map(uint64_t start, uint64_t bytes, enum mmu_type type);
/* Device registers of a node, mapped. */
struct range mmu_reg(int node, unsigned i);

extern unsigned cpu_n; /* in the device tree */
static inline unsigned cpu_self(void)
{
	return (unsigned)READ_SYSREG(tpidr_el1);
}
void cpu_init(void);
uint64_t cpu_affinity(unsigned cpu);
/* Every CPU, this one too, runs @f; returns when all have returned. Those that are done take
 * interrupts meanwhile. */
void cpu_run(void (*f)(unsigned cpu));
static inline void irqs_on(void)
{
	asm volatile("msr daifclr, #2" : : : "memory");
}
static inline void irqs_off(void)
{
	asm volatile("msr daifset, #2" : : : "memory");
}

static inline uint64_t counter(void)
{
	asm volatile("isb");
	return READ_SYSREG(cntvct_el0);
}
/* The virtual timer of this CPU: after @ticks, and every @again after that unless it is 0. */
void timer_start(uint64_t ticks, uint64_t again);
void timer_stop(void);
uint32_t timer_interrupt(void);

/* --- gic.c, its.c ---------------------------------------------------------------------------- */

#define GIC_SPI	     32
#define GIC_SGI_WAKE 1	/* of cpu.c */
#define GIC_IDS	     64 /* below LPIs, as many as the machine has */
#define GIC_LPI	     8192
#define GIC_LPIS_MAX 8

struct gic {
	int node;
	unsigned version;
	struct range dist, other; /* the CPU interface of version 2, the redistributors of 3 */
};
extern struct gic gic;
void gic_init(void);
void gic_cpu_init(void); /* on each */
uint64_t gic_redist(unsigned cpu);
/* On this CPU. @handler must silence the source; may be NULL for edges. */
void gic_enable(uint32_t id, bool edge, void (*handler)(uint32_t id));
void gic_disable(uint32_t id);
void gic_sgi(unsigned cpu, uint32_t id);
/* How many have come to a CPU, and to this one. */
uint32_t gic_count_of(unsigned cpu, uint32_t id);
uint32_t gic_count(uint32_t id);
/* Waits, with interrupts on, until there are more than @before. */
void gic_await(uint32_t id, uint32_t before);

bool its_init(void); /* false: there is none */
uint64_t its_base(void);
/* @event of @device arrives as @lpi at the first CPU. */
void its_map(uint32_t device, uint32_t event, uint32_t lpi);
uint64_t its_doorbell(void);

/* --- pci.c, disk.c --------------------------------------------------------------------------- */

struct pci {
	int node;
	struct range cam, low, high; /* windows */
	uint32_t buses;
};
extern struct pci pci;
void pci_init(void);
/* @fn: bus, device and function in their 16 bits. */
uint32_t pci_read(uint32_t fn, unsigned reg);
uint16_t pci_read16(uint32_t fn, unsigned reg);
uint8_t pci_read8(uint32_t fn, unsigned reg);
void pci_write16(uint32_t fn, unsigned reg, uint16_t v);
uint64_t pci_bar(uint32_t fn, unsigned n); /* mapped */
unsigned pci_capability(uint32_t fn, uint8_t id, unsigned after);
/* First function of the bus with this vendor and device; fails without. */
uint32_t pci_find(uint32_t ids);
uint32_t pci_line(uint32_t fn);
/* Where the table of message interrupts is; 0 without. */
uint64_t pci_msix_table(uint32_t fn, unsigned *entries);
void pci_msix_on(uint32_t fn, bool on);
/* Virtio structure of this type in a BAR; 0 without. @multiplier: of doorbells. */
uint64_t virtio_structure(uint32_t fn, unsigned type, uint32_t *multiplier);

#define DISK_ID 0x10421af4
enum disk_wait { DISK_POLL, DISK_INTX, DISK_MSIX };
/* Everything that the device reads and writes is in @arena. */
void disk_start(const struct range *arena, bool through_pool, enum disk_wait wait);
#define DISK_SECTOR 512u
#define DISK_BATCH  8u
void disk_read(uint64_t sector, void *data, unsigned sectors);
void disk_write(uint64_t sector, const void *data, unsigned sectors);

/* --- modes ----------------------------------------------------------------------------------- */

void machine_init(void);
void rows(void);
bool pool_find(struct range *out);
/* Where stolen time of this CPU is, by HVC; 0 without. */
uint64_t stolen_time_at(void);
uint64_t stolen_ns(void);
void work(void);
void stall(void);
void steal(void);
void bounce(void);
/* Until a character arrives at the second UART. */
void hold(void);

#endif
