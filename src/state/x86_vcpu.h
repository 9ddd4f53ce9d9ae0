/* SPDX-License-Identifier: Apache-2.0 */
/* An x86-64 virtual CPU: everything that KVM offers to read of one. Names as in the Intel SDM. */
#ifndef STATE_X86_VCPU_H
#define STATE_X86_VCPU_H

#include "state/state.h"

#define X86_MSRS_MAX  512
#define X86_CPUID_MAX 256
#define X86_XSAVE_MAX 16384
#define X86_LAPIC_REGS 64
#define X86_UNREAD_MAX 64

/* clang-format off */
#define X86_SEGMENT_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u16, selector, 1, 0, hex, "Selector") \
	FIELD(T, 2, u64, base, 1, 0, hex, "Base address") \
	FIELD(T, 3, u32, limit, 1, 0, hex, "Limit, in bytes") \
	FIELD(T, 4, u8, type, 1, 0, hex, "Type (SDM 3, 3.4.5.1)") \
	FLAG(T, 5, s, 1, 0, "Code or data rather than system") \
	FIELD(T, 6, u8, dpl, 1, 0, dec, "Descriptor privilege level") \
	FLAG(T, 7, present, 1, 0, "Present") \
	FLAG(T, 8, avl, 1, 0, "Available to software") \
	FLAG(T, 9, l, 1, 0, "64-bit code") \
	FLAG(T, 10, db, 1, 0, "32-bit default operation size") \
	FLAG(T, 11, g, 1, 0, "Limit in 4 KiB units") \
	FLAG(T, 12, unusable, 1, 0, "Not loaded")

STATE_DECLARE(x86_segment, X86_SEGMENT_STATE);

#define X86_TABLE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u64, base, 1, 0, hex, "Base address") \
	FIELD(T, 2, u16, limit, 1, 0, hex, "Limit, in bytes")

STATE_DECLARE(x86_table, X86_TABLE_STATE);

#define X86_MSR_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, index, 1, 0, hex, "Number of the register") \
	FIELD(T, 2, u64, value, 1, 0, hex, "Contents")

STATE_DECLARE(x86_msr, X86_MSR_STATE);

#define X86_CPUID_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, function, 1, 0, hex, "Leaf (EAX)") \
	FIELD(T, 2, u32, index, 1, 0, hex, "Sub-leaf (ECX)") \
	FLAG(T, 3, indexed, 1, 0, "The sub-leaf matters") \
	FIELD(T, 4, u32, eax, 1, 0, hex, "EAX") \
	FIELD(T, 5, u32, ebx, 1, 0, hex, "EBX") \
	FIELD(T, 6, u32, ecx, 1, 0, hex, "ECX") \
	FIELD(T, 7, u32, edx, 1, 0, hex, "EDX")

STATE_DECLARE(x86_cpuid, X86_CPUID_STATE);

/* An MSR in KVM's list that it would not let us read: left out of the snapshot, and said. */
#define X86_UNREAD_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, index, 1, 0, hex, "Number of the register")

STATE_DECLARE(x86_unread, X86_UNREAD_STATE);

#define X86_VCPU_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u64, rax, 1, 0, hex, "RAX") \
	FIELD(T, 2, u64, rbx, 1, 0, hex, "RBX") \
	FIELD(T, 3, u64, rcx, 1, 0, hex, "RCX") \
	FIELD(T, 4, u64, rdx, 1, 0, hex, "RDX") \
	FIELD(T, 5, u64, rsi, 1, 0, hex, "RSI") \
	FIELD(T, 6, u64, rdi, 1, 0, hex, "RDI") \
	FIELD(T, 7, u64, rsp, 1, 0, hex, "RSP") \
	FIELD(T, 8, u64, rbp, 1, 0, hex, "RBP") \
	FIELD(T, 9, u64, r8, 1, 0, hex, "R8") \
	FIELD(T, 10, u64, r9, 1, 0, hex, "R9") \
	FIELD(T, 11, u64, r10, 1, 0, hex, "R10") \
	FIELD(T, 12, u64, r11, 1, 0, hex, "R11") \
	FIELD(T, 13, u64, r12, 1, 0, hex, "R12") \
	FIELD(T, 14, u64, r13, 1, 0, hex, "R13") \
	FIELD(T, 15, u64, r14, 1, 0, hex, "R14") \
	FIELD(T, 16, u64, r15, 1, 0, hex, "R15") \
	FIELD(T, 17, u64, rip, 1, 0, hex, "RIP") \
	FIELD(T, 18, u64, rflags, 1, 2, hex, "RFLAGS") \
	RECORD(T, 19, x86_segment, cs, 1, "Code segment") \
	RECORD(T, 20, x86_segment, ds, 1, "Data segment") \
	RECORD(T, 21, x86_segment, es, 1, "Extra segment") \
	RECORD(T, 22, x86_segment, fs, 1, "FS") \
	RECORD(T, 23, x86_segment, gs, 1, "GS") \
	RECORD(T, 24, x86_segment, ss, 1, "Stack segment") \
	RECORD(T, 25, x86_segment, tr, 1, "Task register") \
	RECORD(T, 26, x86_segment, ldt, 1, "Local descriptor table") \
	RECORD(T, 27, x86_table, gdt, 1, "Global descriptor table") \
	RECORD(T, 28, x86_table, idt, 1, "Interrupt descriptor table") \
	FIELD(T, 29, u64, cr0, 1, 0, hex, "CR0") \
	FIELD(T, 30, u64, cr2, 1, 0, hex, "CR2, page-fault address") \
	FIELD(T, 31, u64, cr3, 1, 0, hex, "CR3, page-table root") \
	FIELD(T, 32, u64, cr4, 1, 0, hex, "CR4") \
	FIELD(T, 33, u64, cr8, 1, 0, hex, "CR8, task priority") \
	FIELD(T, 34, u64, efer, 1, 0, hex, "IA32_EFER") \
	FIELD(T, 35, u64, apic_base, 1, 0, hex, "IA32_APIC_BASE") \
	ARRAY(T, 36, u64, interrupt_bitmap, 4, 1, hex, "External interrupt taken and not delivered") \
	ARRAY(T, 37, u64, dr, 4, 1, hex, "DR0 to DR3") \
	FIELD(T, 38, u64, dr6, 1, 0, hex, "DR6") \
	FIELD(T, 39, u64, dr7, 1, 0, hex, "DR7") \
	FIELD(T, 40, u64, xcr0, 1, 1, hex, "XCR0") \
	BYTES(T, 41, xsave, X86_XSAVE_MAX, 1, "XSAVE area, standard format (SDM 1, 13.4)") \
	FIELD(T, 42, u8, mp_state, 1, 0, dec, \
	      "0 running, 1 uninitialized, 2 INIT received, 3 halted, 4 SIPI received") \
	FLAG(T, 43, exception_injected, 1, 0, "An exception is being delivered") \
	FLAG(T, 44, exception_pending, 1, 0, "An exception waits for delivery") \
	FIELD(T, 45, u8, exception_nr, 1, 0, dec, "Its vector") \
	FLAG(T, 46, exception_has_error_code, 1, 0, "It pushes an error code") \
	FIELD(T, 47, u32, exception_error_code, 1, 0, hex, "Its error code") \
	FLAG(T, 48, exception_has_payload, 1, 0, "CR2 or DR6 is yet to be written") \
	FIELD(T, 49, u64, exception_payload, 1, 0, hex, "What it will hold") \
	FLAG(T, 50, interrupt_injected, 1, 0, "An interrupt is being delivered") \
	FIELD(T, 51, u8, interrupt_nr, 1, 0, dec, "Its vector") \
	FLAG(T, 52, interrupt_soft, 1, 0, "It came from INT n") \
	FIELD(T, 53, u8, interrupt_shadow, 1, 0, dec, "1 after MOV SS, 2 after STI") \
	FLAG(T, 54, nmi_injected, 1, 0, "An NMI is being delivered") \
	FIELD(T, 55, u8, nmi_pending, 1, 0, dec, "NMIs that wait") \
	FLAG(T, 56, nmi_masked, 1, 0, "NMIs are blocked until IRET") \
	FIELD(T, 57, u32, sipi_vector, 1, 0, hex, "Vector of the last SIPI") \
	FLAG(T, 58, smm, 1, 0, "In system management mode") \
	FLAG(T, 59, smi_pending, 1, 0, "An SMI waits") \
	FLAG(T, 60, smm_inside_nmi, 1, 0, "SMM was entered with NMIs blocked") \
	FLAG(T, 61, smi_latched_init, 1, 0, "An INIT waits for the end of SMM") \
	FLAG(T, 62, triple_fault_pending, 1, 0, "A triple fault waits for delivery") \
	ARRAY(T, 63, u32, lapic, X86_LAPIC_REGS, 1, hex, "Local APIC registers, one for each 16 bytes") \
	FIELD(T, 64, u64, tsc, 1, 0, hex, "Time-stamp counter at the instant of the record clock") \
	FIELD(T, 65, u32, tsc_khz, 1, 0, dec, "Frequency of the time-stamp counter, in kHz") \
	LIST(T, 66, x86_msr, msr, X86_MSRS_MAX, 1, "Model-specific registers") \
	LIST(T, 67, x86_unread, unread, X86_UNREAD_MAX, 1, \
	     "Registers in KVM's list that it would not read; not part of the snapshot") \
	LIST(T, 68, x86_cpuid, cpuid, X86_CPUID_MAX, 1, "CPUID as the guest sees it") \
	FLAG(T, 69, pdptrs_valid, 1, 0, "The next field holds what PAE paging has loaded") \
	ARRAY(T, 70, u64, pdptr, 4, 1, hex, "Page-directory-pointer registers of PAE paging")

STATE_DECLARE(x86_vcpu, X86_VCPU_STATE);
/* clang-format on */

#endif
