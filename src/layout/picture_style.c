/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/picture_parts.h"

/* Fills are pale in light mode and deep in dark mode, so that one colour of text suits them all. */
static const struct {
	uint8_t kind;
	const char *class;
	const char *fill, *line, *dark_fill, *dark_line;
} kinds[] = {
    {REGION_RAM, "k-ram", "#dcebfd", "#3b78c4", "#152c49", "#5b9be6"},
    {REGION_RESERVED_RAM, "k-reserved-ram", "#d9dcfa", "#5a5fc7", "#25275a", "#8f94f2"},
    {REGION_FIRMWARE, "k-firmware", "#fbe3c8", "#b86a14", "#47290b", "#e39a4d"},
    {REGION_BOOT, "k-boot", "#cdeef0", "#1d8790", "#0d3a40", "#4bbac4"},
    {REGION_MMIO, "k-mmio", "#fcd9d2", "#c2513a", "#4d1f17", "#ee8a76"},
    {REGION_WINDOW, "k-window", "#d8f1dc", "#2f8a46", "#12391d", "#5fbf78"},
    {REGION_ECAM, "k-ecam", "#e9f2c4", "#71860f", "#2f380a", "#b0c74a"},
    {REGION_CAM, "k-cam", "#faf0bd", "#96800c", "#3e360b", "#d6be4c"},
    {REGION_HYPERVISOR, "k-hypervisor", "#fad7e9", "#b83c80", "#4a1734", "#ea82b6"},
    {REGION_PIO, "k-pio", "#ecdcfa", "#8249bd", "#34184f", "#b98aea"},
    {REGION_RESERVED, "k-reserved", "#e4e6ea", "#6b7480", "#2a2f37", "#8b949e"},
};

const char *picture_class_(unsigned kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].class;
	return "k-unknown";
}

static const char shapes[] =
    ".map text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
    "'Liberation Mono',monospace;white-space:pre}\n"
    ".map .p{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
    ".map .n{font-size:12px;font-weight:600}.map .s{font-size:12px}\n"
    ".map .k,.map .a{font-size:11px}.map .b{font-size:10px}\n"
    ".map .t{font-size:14px;font-weight:600}.map .h{font-size:12px;font-weight:600}\n"
    ".map .e{text-anchor:end}\n"
    ".map rect,.map .tick{shape-rendering:crispEdges}\n"
    ".map .box,.map .gap{stroke-width:1}.map .gap{stroke-dasharray:3 3}\n"
    ".map .pill{shape-rendering:auto;stroke-width:1}\n"
    ".map .tick{stroke-width:1}.map .point{stroke-width:3}\n"
    ".map .mark{fill:none;stroke-width:2}\n"
    ".map .link{stroke-width:1.5;fill-opacity:.16;stroke-opacity:.9}\n";

static const char light[] =
    ".map .paper{fill:#ffffff}.map text{fill:#1c2128}\n"
    ".map .k,.map .a,.map .p,.map .m{fill:#4b535d}\n"
    ".map .gap{fill:url(#free);stroke:#9aa3ad}.map .hatch{stroke:#d3d8de}\n"
    ".map .tick{stroke:#9aa3ad}.map .point{stroke:#1d8790}\n"
    ".map .k-unknown{fill:#ffffff;stroke:#6b7480}.map .k-unknown+.stripe{fill:#6b7480}\n"
    ".map .pill.c-line{fill:#ffffff;stroke:#8b949e}.map .b.c-line{fill:#3c444d}\n"
    ".map .pill.c-moved{fill:#9a5b00;stroke:#9a5b00}.map .mark.c-moved{stroke:#9a5b00}\n"
    ".map .pill.c-size{fill:#7a35c0;stroke:#7a35c0}.map .mark.c-size{stroke:#7a35c0}\n"
    ".map .pill.c-only{fill:#c01f4b;stroke:#c01f4b}.map .mark.c-only{stroke:#c01f4b}\n"
    ".map .pill.c-other{fill:#0b66a8;stroke:#0b66a8}.map .mark.c-other{stroke:#0b66a8}\n"
    ".map .pill.c-flaw{fill:#1c2128;stroke:#1c2128}.map .mark.c-flaw{stroke:#1c2128}\n"
    ".map .b{fill:#ffffff}\n.map .b.c-line{fill:#3c444d}\n"
    ".map .link.c-moved{fill:#d98c1f;stroke:#b5730f}\n"
    ".map .link.c-size{fill:#9a5be0;stroke:#7a35c0}\n";

static const char dark[] =
    ".map .paper{fill:#0f141a}.map text{fill:#e8edf3}\n"
    ".map .k,.map .a,.map .p,.map .m{fill:#aab4bf}\n"
    ".map .gap{stroke:#4b5560}.map .hatch{stroke:#2b333c}\n"
    ".map .tick{stroke:#5b6570}.map .point{stroke:#4bbac4}\n"
    ".map .k-unknown{fill:#0f141a;stroke:#8b949e}.map .k-unknown+.stripe{fill:#8b949e}\n"
    ".map .pill.c-line{fill:#0f141a;stroke:#6b7480}\n"
    ".map .pill.c-moved{fill:#f0b455;stroke:#f0b455}.map .mark.c-moved{stroke:#f0b455}\n"
    ".map .pill.c-size{fill:#c9a2f5;stroke:#c9a2f5}.map .mark.c-size{stroke:#c9a2f5}\n"
    ".map .pill.c-only{fill:#ff8fa8;stroke:#ff8fa8}.map .mark.c-only{stroke:#ff8fa8}\n"
    ".map .pill.c-other{fill:#7cc4f5;stroke:#7cc4f5}.map .mark.c-other{stroke:#7cc4f5}\n"
    ".map .pill.c-flaw{fill:#e8edf3;stroke:#e8edf3}.map .mark.c-flaw{stroke:#e8edf3}\n"
    ".map .b{fill:#0f141a}\n.map .b.c-line{fill:#c3ccd6}\n"
    ".map .link.c-moved{fill:#f0b455;stroke:#f0b455}\n"
    ".map .link.c-size{fill:#c9a2f5;stroke:#c9a2f5}\n";

void picture_style_(FILE *out)
{
	fprintf(out, "<style>\n%s%s", shapes, light);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fprintf(out, ".map .%s{fill:%s;stroke:%s}.map .%s+.stripe{fill:%s}\n",
			kinds[i].class, kinds[i].fill, kinds[i].line, kinds[i].class,
			kinds[i].line);
	fprintf(out, "@media (prefers-color-scheme:dark){\n%s", dark);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fprintf(out, ".map .%s{fill:%s;stroke:%s}.map .%s+.stripe{fill:%s}\n",
			kinds[i].class, kinds[i].dark_fill, kinds[i].dark_line, kinds[i].class,
			kinds[i].dark_line);
	fputs("}\n</style>\n", out);
}
