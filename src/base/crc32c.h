/* CRC-32C (Castagnoli), as record batches carry it (RFC 3720 appendix B.4). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* CRC of @len bytes continued from @crc (0 to start). Uses the processor's instruction where it has one (SSE 4.2 on
 * x86-64, the CRC extension on aarch64; asked once at run time), else a table. Any thread. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The table version, whatever the processor can: for tests to compare. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);

/* Name of what crc32c() uses here: "sse4.2", "armv8-crc" or "table". */
const char *crc32c_method(void);
