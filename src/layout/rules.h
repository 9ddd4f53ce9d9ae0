/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every rule of a compatibility check: L memory maps, D devices and disks, C processors, H hosts.
 * A rule's meaning and severity never change once released, and its id is never used again.
 * docs/compatibility.md is printed from this table.
 *
 * Columns: id, severity (enum severity), what is compared, why it matters, what to do about it.
 */
#ifndef LAYOUT_RULES_H
#define LAYOUT_RULES_H

#include <stddef.h>

enum severity {
	FINDING_NOTE,	 /* worth knowing; also what was not compared */
	FINDING_WARNING, /* compatible, but something will be different */
	FINDING_REFUSAL, /* incompatible */
};

#define OTHER_VMM  "use a version of vmm that has it"
#define THIS_VMM   "use the version of vmm that wrote the snapshot"
#define OTHER_HOST "use another host"
#define EDITED	   "the snapshot was edited or written by a faulty program: take another one"
#define SAVED_DISK "name the image that was saved"

/* clang-format off */
#define LAYOUT_RULES(R)                                                                            \
	R(L001, REFUSAL, "the definition's name and version with those of this build",             \
	  "without the definition nobody can say whether the map is what its name promises", OTHER_VMM) \
	R(L002, REFUSAL, "every saved region with the one that this build makes from the same definition and parameters", \
	  "the definition has drifted or the map was edited: devices and tables are not where the definition has them", THIS_VMM) \
	R(L003, REFUSAL, "whether this build can make any map from the saved parameters",          \
	  "this build's definition does not know such a machine", THIS_VMM)                        \
	R(L010, REFUSAL, "regions with each other: no overlap but declared nesting",               \
	  "an address can be only one thing", EDITED)                                              \
	R(L011, REFUSAL, "regions with the address limit (ports: 64 KiB)",                         \
	  "the guest could not reach what lies past it", EDITED)                                   \
	R(L012, REFUSAL, "backed regions: whole pages",                                            \
	  "memory comes in pages", EDITED)                                                         \
	R(L013, REFUSAL, "nested regions with what they lie in",                                   \
	  "a part outside of its whole belongs nowhere", EDITED)                                   \
	R(L014, REFUSAL, "names of regions: one each, and each once",                              \
	  "everything is found by its name", EDITED)                                               \
	R(L015, REFUSAL, "the order of regions: memory before ports, ascending",                   \
	  "the RAM stream follows it", EDITED)                                                     \
	R(L016, REFUSAL, "RAM regions together with the RAM of the machine",                       \
	  "RAM is missing, or there is more than the machine has", EDITED)                         \
	R(L017, REFUSAL, "the address limit itself: 32 to 52 bits",                                \
	  "no processor has such addresses", EDITED)                                               \
	R(L030, NOTE, "the names of two maps' definitions",                                        \
	  "the maps have different definitions", "")                                               \
	R(L031, REFUSAL, "what two maps were built with: RAM, address bits",                       \
	  "the guest knows its RAM and how far addresses reach", "start the other machine with the same") \
	R(L032, REFUSAL, "regions that only one of two maps has",                                  \
	  "the guest would find something where it knows nothing, or nothing where it knows something", "use the same definition") \
	R(L033, REFUSAL, "where a region of two maps starts",                                      \
	  "the guest would look for it at the old place", "use the same definition and parameters") \
	R(L034, REFUSAL, "how large a region of two maps is",                                      \
	  "a part would be missing, or lie where the guest may have something else", "use the same definition and parameters") \
	R(L035, REFUSAL, "what a region of two maps is",                                           \
	  "the guest would take one thing for the other", "use the same definition")               \
	R(L036, NOTE, "what a region of two maps lies in",                                         \
	  "the map is drawn otherwise; its addresses are the same", "")                            \
	R(L037, REFUSAL, "the interrupt line of a region of two maps",                             \
	  "the guest would wait for its interrupts on the old line", "use the same definition")    \
	R(L038, NOTE, "regions of two maps that matter only until a kernel has started (boot), and reserved names", \
	  "a guest that runs no longer needs what it was booted with", "")                         \
	R(L039, NOTE, "vCPUs, sizes of kernel, initrd and firmware of two maps",                   \
	  "where they change the map the regions say so", "")

#define DEVICE_RULES(R)                                                                            \
	R(D001, REFUSAL, "the model of each device with those of this build",                      \
	  "this build cannot emulate the device", OTHER_VMM)                                       \
	R(D002, REFUSAL, "the version of each device's model",                                     \
	  "the saved model is newer and may have state that this build would drop", OTHER_VMM)     \
	R(D003, WARNING, "whether the snapshot has the contents of each disk (with --disks none it has not)", \
	  "the snapshot has the guest's memory without the disk of the same moment, and nobody can tell whether an image fits it", \
	  "restore only onto an image that has not changed since (--disk ID=FILE)")                \
	R(D004, REFUSAL, "the number of a device's queues, their size and the features it offered with what this build's model has", \
	  "the guest has set its driver up for them", OTHER_VMM)                                   \
	R(D005, REFUSAL, "the region at which a device answers",                                   \
	  "the map has no such region", EDITED)                                                    \
	R(D010, REFUSAL, "each BAR: a power of two in size, aligned to it, of a PCI function",     \
	  "PCI has no other", EDITED)                                                              \
	R(D011, REFUSAL, "each BAR with the window it was given from",                             \
	  "outside of it the guest could not reach the device, or something else lies there", EDITED) \
	R(D012, REFUSAL, "BARs with each other",                                                   \
	  "two devices would answer at one address", EDITED)                                       \
	R(D013, REFUSAL, "PCI slots: bus 0, function 0, slot 0 for the host bridge, no slot twice", \
	  "the bus has no such place", EDITED)                                                     \
	R(D020, REFUSAL, "a network's TAP device: can it carry the saved queues and headers?",     \
	  "the guest has set its driver up for them", "name a TAP device with one queue (ip tuntap add mode tap)")

#define DISK_RULES(R)                                                                              \
	R(D050, REFUSAL, "whether each image is there and can be opened",                          \
	  "a disk of the snapshot cannot be used, and memory without the disk of the same moment is a corrupted guest", \
	  "bring the image back as it was, or say where it is (--disk)")                           \
	R(D051, REFUSAL, "the number and kinds of images the disk is put together from",           \
	  "the disk is put together from other images than it was", "name the image that was saved; overlays made since are not part of it") \
	R(D052, REFUSAL, "the size of the disk and of each file",                                  \
	  "this is another disk, or it was cut or extended: the guest knows its disk with another size", SAVED_DISK) \
	R(D053, REFUSAL, "the uuid of each overlay",                                               \
	  "this is another overlay, so its contents are not those that the guest had", SAVED_DISK) \
	R(D054, REFUSAL, "the generation of each overlay, which changes when it is opened for writing", \
	  "the overlay has been opened for writing since: its contents need not be those that the guest's memory goes with", \
	  "take a copy from before, or boot from the disk without the snapshot")                   \
	R(D055, REFUSAL, "the modification time of each image",                                    \
	  "the image was written since, or copied without its time: the guest would find a disk that its memory knows nothing of", \
	  "if it is an unchanged copy, set the saved time with touch -d; copy with cp -p, rsync -a or tar") \
	R(D056, WARNING, "whether a frozen image has got write permission",                        \
	  "the image belongs to a snapshot, and whoever writes to it destroys that", "take write permission away from it (chmod a-w)") \
	R(D057, NOTE, "(nothing) disks, where only the file was looked at or another host was asked about", \
	  "whether the images are there and unchanged was not compared", "run vmm check on the host that has them")

#define CPU_RULES(R)                                                                               \
	R(C002, REFUSAL, "processor features: bits of CPUID that were set and that the host does not offer; more features than before are no difference", \
	  "the guest may be using features that this host lacks", "use a host that has them, or next time run the guest with a narrower --cpu") \
	R(C003, REFUSAL, "the frequency of the time-stamp counter, within 250 ppm, on a host that cannot scale it", \
	  "the guest's clocks would run at the wrong speed", "use a host with TSC scaling or that frequency") \
	R(C004, REFUSAL, "model-specific registers with a saved value other than zero, which they have after reset, with those that the host's KVM loads", \
	  "this host's KVM cannot load the register", "use a host whose KVM has it")               \
	R(C005, NOTE, "(nothing) registers that KVM announced and did not let be read when the snapshot was taken", \
	  "they are not in the snapshot", "")                                                      \
	R(C006, REFUSAL, "the XSAVE area that the guest's features need with what the host's KVM takes", \
	  "vector registers would be lost", OTHER_HOST)                                            \
	R(C007, REFUSAL, "where each component of the XSAVE area lies, and its size",              \
	  "registers would be loaded from the wrong place", OTHER_HOST)                            \
	R(C008, REFUSAL, "the processor's vendor",                                                 \
	  "system instructions and registers of one vendor do not exist on the other", "use a host of the same vendor") \
	R(C009, NOTE, "family, model and stepping of the processor",                               \
	  "the guest goes on seeing the saved ones; work-arounds it chose for that processor stay chosen", "") \
	R(C010, NOTE, "the frequency of the time-stamp counter on a host that scales it",          \
	  "this host scales its counter to the guest's frequency", "")                             \
	R(C011, NOTE, "(nothing) processors, when one side does not say what it has",              \
	  "features, registers or frequency were not compared", "")                                \
	R(C012, REFUSAL, "aarch64: features that a vCPU is made with, and fields of the identification registers but for those that concern a hypervisor only; a host that has more may hide it if its KVM lets the field be written", \
	  "the guest may be using features that this host lacks, or be told of others than it knows", "use a host of the same kind, or one whose KVM can hide what the guest does not know") \
	R(C013, REFUSAL, "aarch64: the processor's identity and its caches (MIDR, REVIDR, AIDR, CTR, CLIDR, CCSIDR), but for what the host's KVM lets be written", \
	  "the guest has chosen work-arounds and cache maintenance for that processor", "use a host with the same processor") \
	R(C014, REFUSAL, "aarch64: registers that the host's KVM does not have, with a value other than the one after reset on the host where it was saved", \
	  "this host's KVM cannot load the register", "use a host with a newer kernel")             \
	R(C015, REFUSAL, "aarch64: what KVM's firmware offers: PSCI version, work-arounds for processor errata, hypercalls", \
	  "the guest may call what is not there, or rely on a processor that needs no work-around", "use a host with a newer kernel, or the same processor") \
	R(C016, REFUSAL, "aarch64: vector lengths of SVE up to the longest one that the guest has", \
	  "the guest would get vectors of another length than it asked for", "use a host with the same vector lengths") \
	R(C017, REFUSAL, "aarch64: the frequency of the counters",                                 \
	  "the guest's clocks would run at the wrong speed", "use a host with the same frequency") \
	R(C018, NOTE, "(nothing) aarch64: the physical timer and counter, when one of the two hosts' KVM does not let them be read or set", \
	  "a guest that goes by the virtual counter, as Linux does, does not notice", "")

#define HOST_RULES(R)                                                                              \
	R(H001, REFUSAL, "the architecture; no other H or C rule is applied when it differs",      \
	  "a processor of one architecture cannot run the other", "use a host of the saved architecture") \
	R(H002, REFUSAL, "the guest's physical address bits with those the host can map",          \
	  "the guest may use addresses that this host cannot map", "use a host with as many bits; next time run the guest with --phys-bits") \
	R(H003, REFUSAL, "the number of vCPUs with what the host's KVM allows in a VM",            \
	  "this host's KVM has fewer for each VM", OTHER_HOST)                                     \
	R(H004, REFUSAL, "the number of backed regions with KVM's memory slots",                   \
	  "this host's KVM has fewer for each VM", OTHER_HOST)                                     \
	R(H005, REFUSAL, "the page size",                                                          \
	  "guest memory is tracked in pages of the host", "use a host with the same page size")    \
	R(H006, REFUSAL, "KVM capabilities that every machine needs, or that the saved state needs", \
	  "without the capability the machine cannot be built or its state not be loaded", "use a host with a newer kernel") \
	R(H007, NOTE, "KVM capabilities that the saving host had",                                 \
	  "nothing in the machine needs it; saving or migrating from this host may be slower", "") \
	R(H008, NOTE, "userfaultfd, which the saving host had",                                    \
	  "memory cannot be loaded lazily or protected while the guest runs", "")                  \
	R(H009, REFUSAL, "the kind of interrupt controller with those the host's KVM has (aarch64)", \
	  "this host's KVM cannot make that controller", OTHER_HOST)                               \
	R(H010, NOTE, "(nothing) the host, when none was given",                                   \
	  "only this build was asked, no host", "give a host's profile (--host; vmm host --export)")

#define RULES(R) LAYOUT_RULES(R) DEVICE_RULES(R) DISK_RULES(R) CPU_RULES(R) HOST_RULES(R)

#define RULE_ENUM(ID, ...) RULE_##ID,
enum rule_id { RULES(RULE_ENUM) RULE_COUNT };
#undef RULE_ENUM
/* clang-format on */

struct rule {
	const char *id; /* "L012" */
	enum severity severity;
	const char *compared, *why, *todo;
};

/* By enum rule_id. */
extern const struct rule rules[RULE_COUNT];

#endif
