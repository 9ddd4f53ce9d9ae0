/* SPDX-License-Identifier: Apache-2.0 */
/* Every table there is: the one place that makes descriptors of them. */
#include "state/arm64_gic.h"
#include "state/arm64_vcpu.h"
#include "state/acpi_pm.h"
#include "state/boot.h"
#include "state/clock.h"
#include "state/debug_exit.h"
#include "state/disk.h"
#include "state/cpu_policy.h"
#include "state/cpufreq.h"
#include "state/host.h"
#include "state/i8042.h"
#include "state/layout.h"
#include "state/machine.h"
#include "state/pci.h"
#include "state/pl031.h"
#include "state/rtc.h"
#include "state/snapshot.h"
#include "state/stall.h"
#include "state/uart.h"
#include "state/virtio.h"
#include "state/vmgenid.h"
#include "state/x86_irqchip.h"
#include "state/x86_vcpu.h"

#include <string.h>

#define NAMES(var, ...)                                                                            \
	static const char *const var##_list[] = {__VA_ARGS__};                                     \
	const struct state_names var = {var##_list, ARRAY_LEN(var##_list)}

NAMES(region_kind_names, [REGION_RAM] = "ram", [REGION_RESERVED_RAM] = "reserved-ram",
      [REGION_FIRMWARE] = "firmware", [REGION_BOOT] = "boot", [REGION_MMIO] = "mmio",
      [REGION_WINDOW] = "window", [REGION_ECAM] = "ecam", [REGION_CAM] = "cam",
      [REGION_HYPERVISOR] = "hypervisor", [REGION_PIO] = "pio", [REGION_RESERVED] = "reserved");

STATE_DEFINE(layout_region, LAYOUT_REGION_STATE, "layout-region", 1, "One region of the map");
STATE_DEFINE(layout_params, LAYOUT_PARAMS_STATE, "layout-params", 1,
	     "What a definition is built with");
STATE_DEFINE(layout, LAYOUT_STATE, "layout", 1, "The guest's physical memory map");
STATE_DEFINE(machine_device, MACHINE_DEVICE_STATE, "machine-device", 1, "One device");
STATE_DEFINE(machine, MACHINE_STATE, "machine", 1, "What is in the machine");
NAMES(boot_role_names, [BOOT_KERNEL] = "kernel", [BOOT_INITRD] = "initrd",
      [BOOT_FIRMWARE] = "firmware", [BOOT_PVM_FIRMWARE] = "pvm-firmware");
STATE_DEFINE(boot_file, BOOT_FILE_STATE, "boot-file", 1, "A file that a machine starts from");
STATE_DEFINE(boot, BOOT_STATE, "boot", 1, "What the machine starts from");
NAMES(disk_format_names, [DISK_RAW] = "raw", [DISK_OVERLAY] = "overlay");
STATE_DEFINE(disk_image_state, DISK_IMAGE_STATE, "disk-image", 1, "One image of a disk");
STATE_DEFINE(disk_state, DISK_STATE, "disk", 1, "The images that hold a disk's contents");
STATE_DEFINE(host_cap, HOST_CAP_STATE, "host-cap", 1, "One KVM capability");
STATE_DEFINE(host_msr, HOST_MSR_STATE, "host-msr", 1, "One model-specific register");
STATE_DEFINE(host_reg, HOST_REG_STATE, "host-reg", 1, "A register that a host's vCPUs have");
STATE_DEFINE(host, HOST_STATE, "host", 1, "What the host could carry");
STATE_DEFINE(cpu_policy, CPU_POLICY_STATE, "cpu-policy", 1, "Features that guests get");
STATE_DEFINE(clock, CLOCK_STATE, "clock", 1, "The guest's time at the pause");
STATE_DEFINE(x86_segment, X86_SEGMENT_STATE, "x86-segment", 1, "A segment register");
STATE_DEFINE(x86_table, X86_TABLE_STATE, "x86-table", 1, "A descriptor-table register");
STATE_DEFINE(x86_msr, X86_MSR_STATE, "x86-msr", 1, "A model-specific register");
STATE_DEFINE(x86_unread, X86_UNREAD_STATE, "x86-unread", 1, "A register left out");
STATE_DEFINE(x86_cpuid, X86_CPUID_STATE, "x86-cpuid", 1, "A CPUID leaf");
STATE_DEFINE(x86_vcpu, X86_VCPU_STATE, "x86-vcpu", 1, "An x86-64 virtual CPU");
STATE_DEFINE(x86_pic, X86_PIC_STATE, "x86-pic", 1, "An 8259A interrupt controller");
STATE_DEFINE(x86_pit_channel, X86_PIT_CHANNEL_STATE, "x86-pit-channel", 1, "An 8254 channel");
STATE_DEFINE(x86_irqchip, X86_IRQCHIP_STATE, "x86-irqchip", 1,
	     "Interrupt controllers and timer in KVM");
STATE_DEFINE(arm64_reg, ARM64_REG_STATE, "arm64-reg", 1, "A register of an aarch64 vCPU");
STATE_DEFINE(arm64_wide, ARM64_WIDE_STATE, "arm64-wide", 1, "A register wider than 64 bits");
STATE_DEFINE(arm64_unread, ARM64_UNREAD_STATE, "arm64-unread", 1, "A register left out");
STATE_DEFINE(arm64_vcpu, ARM64_VCPU_STATE, "arm64-vcpu", 1, "An aarch64 virtual CPU");
NAMES(arm64_gic_space_names, [GIC_DIST] = "distributor", [GIC_REDIST] = "redistributor",
      [GIC_CPU] = "cpu-interface", [GIC_LEVEL] = "line-level", [GIC_ITS] = "its");
STATE_DEFINE(arm64_gic_reg, ARM64_GIC_REG_STATE, "arm64-gic-reg", 1, "A register of the GIC");
STATE_DEFINE(arm64_gic, ARM64_GIC_STATE, "arm64-gic", 1, "Interrupt controller in KVM");
STATE_DEFINE(snapshot_identity, SNAPSHOT_IDENTITY_STATE, "identity", 1,
	     "What a snapshot is of, and who made it");
STATE_DEFINE(snapshot_ram, SNAPSHOT_RAM_STATE, "ram", 1, "How RAM is stored in a snapshot");
STATE_DEFINE(snapshot_parent, SNAPSHOT_PARENT_STATE, "parent", 1,
	     "The snapshot that an incremental one needs");
STATE_DEFINE(pci_vector_state, PCI_VECTOR_STATE, "pci-vector", 1, "An MSI-X vector");
STATE_DEFINE(pci_state, PCI_STATE, "pci", 1, "Configuration space of a PCI function");
STATE_DEFINE(pci_host_state, PCI_HOST_STATE, "pci-host", 1, "The PCI host bridge");
STATE_DEFINE(virtio_queue_state, VIRTIO_QUEUE_STATE, "virtio-queue", 1, "A split virtqueue");
STATE_DEFINE(virtio_state, VIRTIO_STATE, "virtio", 1, "The virtio transport of a device");
STATE_DEFINE(virtio_blk_state, VIRTIO_BLK_STATE, "virtio-blk", 1, "A virtio disk");
STATE_DEFINE(virtio_net_state, VIRTIO_NET_STATE, "virtio-net", 1, "A virtio network device");
STATE_DEFINE(virtio_rng_state, VIRTIO_RNG_STATE, "virtio-rng", 1, "A virtio entropy source");
STATE_DEFINE(virtio_console_state, VIRTIO_CONSOLE_STATE, "virtio-console", 1, "A virtio console");
STATE_DEFINE(virtio_balloon_state, VIRTIO_BALLOON_STATE, "virtio-balloon", 1, "A virtio balloon");
STATE_DEFINE(uart_state, UART_STATE, "uart", 1, "A 16550A serial port");
STATE_DEFINE(i8042_state, I8042_STATE, "i8042", 1, "The keyboard controller, without keyboard");
STATE_DEFINE(rtc_state, RTC_STATE, "rtc", 1, "The MC146818 real-time clock");
STATE_DEFINE(acpi_pm_state, ACPI_PM_STATE, "acpi-pm", 1, "ACPI fixed hardware");
STATE_DEFINE(debug_exit_state, DEBUG_EXIT_STATE, "debug-exit", 1, "The exit port of test guests");
STATE_DEFINE(vmgenid_state, VMGENID_STATE, "vmgenid", 1, "The generation identifier");
STATE_DEFINE(pl031_state, PL031_STATE, "pl031", 1, "The PL031 real-time clock");
STATE_DEFINE(stall_vcpu, STALL_VCPU_STATE, "stall-vcpu", 1, "The stall detector of a vCPU");
STATE_DEFINE(stall_state, STALL_STATE, "stall-detector", 1, "The stall detector");
STATE_DEFINE(cpufreq_vcpu, CPUFREQ_VCPU_STATE, "cpufreq-vcpu", 1, "Virtual cpufreq of a vCPU");
STATE_DEFINE(cpufreq_state, CPUFREQ_STATE, "cpufreq", 1, "Virtual cpufreq");

const struct state_desc *const state_all[] = {
	&layout_region_desc,
	&layout_params_desc,
	&layout_desc,
	&machine_device_desc,
	&machine_desc,
	&snapshot_identity_desc,
	&snapshot_ram_desc, &snapshot_parent_desc,
	&boot_file_desc,
	&boot_desc,
	&disk_image_state_desc,
	&disk_state_desc,
	&host_cap_desc,
	&host_msr_desc,
	&host_reg_desc,
	&host_desc,
	&clock_desc,
	&x86_segment_desc,
	&x86_table_desc,
	&x86_msr_desc,
	&x86_unread_desc,
	&x86_cpuid_desc,
	&x86_vcpu_desc,
	&x86_pic_desc,
	&x86_pit_channel_desc,
	&x86_irqchip_desc,
	&arm64_reg_desc,
	&arm64_wide_desc,
	&arm64_unread_desc,
	&arm64_vcpu_desc,
	&arm64_gic_reg_desc,
	&arm64_gic_desc,
	&uart_state_desc,
	&i8042_state_desc,
	&rtc_state_desc,
	&acpi_pm_state_desc,
	&debug_exit_state_desc,
	&vmgenid_state_desc,
	&pl031_state_desc,
	&stall_vcpu_desc,
	&stall_state_desc,
	&cpufreq_vcpu_desc,
	&cpufreq_state_desc,
	&pci_vector_state_desc,
	&pci_state_desc,
	&pci_host_state_desc,
	&virtio_queue_state_desc,
	&virtio_state_desc,
	&virtio_blk_state_desc,
	&virtio_net_state_desc,
	&virtio_rng_state_desc,
	&virtio_console_state_desc,
	&virtio_balloon_state_desc,
	NULL,
};

const struct state_desc *state_find(const char *name)
{
	for (size_t i = 0; state_all[i]; i++)
		if (!strcmp(state_all[i]->name, name))
			return state_all[i];
	return NULL;
}
